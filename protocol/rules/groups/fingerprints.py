"""PRO: compared curves were all made under the planned protocol."""

from __future__ import annotations

from protocol.digests import sha256
from protocol.record.events import RunEvent
from protocol.rules.evidence import RunEvidence
from protocol.rules.facts import StudyEvidence
from protocol.rules.rule import AnyRule, Observations, broken, run_rule, study_rule, unverifiable
from protocol.spec.study import Study


@run_rule(
    "PRO-01",
    "the fingerprint matches the recorded protocol",
    why="a protocol changed after the fact no longer says what was run",
    evidence="protocol and fingerprint in the 'run' event, recomputed",
    fix="restore the record from a copy, or run it again in a new folder",
    reads={"head"},
)
def wrong_fingerprint(run: RunEvidence) -> Observations:
    for where, event in run.of(RunEvent):
        actual = run.sidecars.fingerprint(event.protocol)
        if event.fingerprint != actual:
            expected = f"the fingerprint of the recorded protocol, {actual[:16]}"
            yield broken(where, expected, event.fingerprint[:16])


@run_rule(
    "PRO-02",
    "the protocol is the planned one",
    why="curves made under different protocols cannot be compared",
    evidence="fingerprint in the 'run' event and in study.json, and the reference for random, if the run had one",
    fix="run the study again in a new folder",
    reads={"head", "plan"},
)
def unplanned_protocol(run: RunEvidence) -> Observations:
    planned = run.sidecars.fingerprint(run.protocol)
    for where, event in run.of(RunEvent):
        if event.fingerprint != planned:
            expected = f"the planned protocol {run.protocol.name}, {planned[:16]}"
            yield broken(where, expected, event.fingerprint[:16])
        # the fingerprint leaves the reference out, so that one can be added later; a recorded one must not change
        recorded, now = event.protocol.reference, run.protocol.reference
        if recorded is not None and recorded != now:
            found = "none" if now is None else f"{now.source}: {now.values or now.aubc}, within {now.tolerance:g}"
            expected = f"a plan with the reference of the run, {recorded.source}: {recorded.values or recorded.aubc}"
            yield broken(where, expected, found[:200])


@run_rule(
    "PRO-06",
    "the protocol's notes are those that the run had",
    severity="warning",
    since="0.3.0",
    why="where values come from is part of the protocol; notes that change later may claim a source that was not used",
    evidence="title, source and provenance of the protocol in the 'run' event and in study.json",
    fix="restore study.json from a copy, or amend the plan",
    reads={"head", "plan"},
)
def changed_notes(run: RunEvidence) -> Observations:
    for where, event in run.of(RunEvent):
        for note in ("title", "source", "provenance"):
            then, now = getattr(event.protocol, note), getattr(run.protocol, note)
            if then != now:
                yield broken(where, f"the {note} of the run: {then!s:.150}", f"{now!s:.150} in the plan")


@run_rule(
    "PRO-03",
    "strategy, seed and study are the planned ones",
    why="a record moved from another place of the plan, or from another study, is a different run",
    evidence="strategy, replicate and study in the 'run' event, and study.json",
    fix="put the record back where it belongs, or run the study again in a new folder",
    reads={"head", "plan"},
)
def exchanged_runs(run: RunEvidence) -> Observations:
    for where, event in run.of(RunEvent):
        if event.strategy != run.strategy:
            yield broken(where, f"strategy {run.strategy!s:.200}", f"{event.strategy!s:.200}")
        if event.replicate != run.key.seed:
            yield broken(where, f"replicate {run.key.seed}", event.replicate)
        if not event.study:
            yield unverifiable(where, "the fingerprint of the study that planned the run", "nothing recorded")
        elif event.study not in run.plans:
            yield broken(where, f"planned by this study, {run.study.fingerprint[:16]}", event.study[:16])


@study_rule(
    "PRO-04",
    "the plan was not amended",
    severity="warning",
    why="seeds or strategies added after a look at the results depend on them; error rates hold for the first plan "
    "only",
    evidence="amendments.jsonl",
    fix="report the study as amended, or run the amended plan in a new folder",
    reads={"plan"},
    needs="plan",
)
def amendments(study: StudyEvidence) -> Observations:
    plans = [a.before.fingerprint for a in study.amendments[1:]] + [study.study.fingerprint]
    for number, (amendment, following) in enumerate(zip(study.amendments, plans, strict=False), start=1):
        where = f"{study.folder.amendments.name}:{number}"
        found = f"amended {amendment.time}, {_changes(amendment.before, study.study)}: {amendment.reason}"
        yield broken(where, "the plan that was fixed before the first run", found[:300])
        if amendment.after != following:
            expected = f"an amendment to the plan that followed, {following[:16]}"
            yield broken(where, expected, amendment.after[:16])


def _changes(before: Study, now: Study) -> str:
    keys = ("protocols", "strategies", "seeds", "plan")
    changed = [key for key in keys if getattr(before, key) != getattr(now, key)]
    return f"{', '.join(changed)} changed" if changed else "later changed back"


@study_rule(
    "PRO-05",
    "the kept sources of user-defined strategies are those that ran",
    why="readers of the source need the code that ran",
    evidence="strategies/<strategy>-<digest>.py and source_digest in the plan",
    fix="restore the file from a copy",
    reads={"plan"},
    judges="a strategy that is not built in",
    needs="plan",
)
def changed_sources(study: StudyEvidence) -> Observations:
    for spec in study.study.strategies:
        if (digest := spec.source_digest) is None:
            continue
        path = study.folder.source(spec.id, digest)
        where = str(path.relative_to(study.folder.path))
        expected = f"the source of {spec.id} that the plan names, {digest[:16]}"
        try:
            actual = sha256(study.folder.read(path))
        except OSError as error:
            yield unverifiable(where, expected, error.strerror or str(error))
            continue
        if actual != digest:
            yield broken(where, expected, actual[:16])


RULES: tuple[AnyRule, ...] = (
    wrong_fingerprint,
    unplanned_protocol,
    exchanged_runs,
    amendments,
    changed_sources,
    changed_notes,
)
