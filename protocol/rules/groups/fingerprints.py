"""PRO: curves are compared only if they were made under one and the same protocol, the planned one."""

from __future__ import annotations

from protocol.digests import sha256
from protocol.record.events import RunEvent
from protocol.rules.evidence import RunEvidence, StudyEvidence
from protocol.rules.rule import AnyRule, Observation, Observations, RunRule, StudyRule, unverifiable
from protocol.safe_read import content
from protocol.spec.study import Study


def _fingerprint_is_the_recorded_protocols(run: RunEvidence) -> Observations:
    for where, event in run.of(RunEvent):
        actual = run.shelf.fingerprint(event.protocol)
        if event.fingerprint != actual:
            yield Observation(
                where, f"the fingerprint of the recorded protocol, {actual[:16]}", event.fingerprint[:16], str(run.key)
            )


def _fingerprint_is_the_planned_one(run: RunEvidence) -> Observations:
    planned = run.shelf.fingerprint(run.protocol)
    for where, event in run.of(RunEvent):
        if event.fingerprint != planned:
            yield Observation(
                where, f"the planned protocol {run.protocol.name}, {planned[:16]}", event.fingerprint[:16], str(run.key)
            )
        told, now = event.protocol.reference, run.protocol.reference
        if (
            told is not None and told != now
        ):  # no fingerprint covers it, so that one can be added; what it asked for stays asked for
            found = "none" if now is None else f"{now.source}: {now.values or now.aubc}, within {now.tolerance:g}"
            yield Observation(
                where,
                f"a plan with the reference of the run, {told.source}: {told.values or told.aubc}",
                found[:200],
                str(run.key),
            )


def _run_is_the_planned_one(run: RunEvidence) -> Observations:
    key = str(run.key)
    for where, event in run.of(RunEvent):
        if event.strategy != run.strategy:
            yield Observation(where, f"strategy {_told(run.strategy)}", _told(event.strategy), key)
        if event.replicate != run.key.seed:
            yield Observation(where, f"replicate {run.key.seed}", str(event.replicate), key)
        if not event.study:
            yield unverifiable(where, "the fingerprint of the study that planned the run", "nothing recorded", key)
        elif event.study not in run.plans:
            yield Observation(where, f"planned by this study, {run.study.fingerprint[:16]}", event.study[:16], key)


def _plan_is_not_amended(study: StudyEvidence) -> Observations:
    after = [a.before.fingerprint for a in study.amendments[1:]] + [study.study.fingerprint]
    for number, (amendment, follows) in enumerate(zip(study.amendments, after, strict=bool(study.amendments)), start=1):
        where = f"{study.folder.amendments.name}:{number}"
        found = f"amended {amendment.time}, {_changes(amendment.before, study.study)}: {amendment.reason}"
        yield Observation(where, "the plan that was fixed before the first run", found[:300])
        if amendment.after != follows:
            yield Observation(where, f"an amendment to the plan that followed, {follows[:16]}", amendment.after[:16])


def _kept_sources_are_those_that_ran(study: StudyEvidence) -> Observations:
    for spec in study.study.strategies:
        if (digest := spec.source_digest) is None:
            continue
        path = study.folder.source(spec.id, digest)
        where, expected = (
            str(path.relative_to(study.folder.path)),
            f"the source of {spec.id} that the plan names, {digest[:16]}",
        )
        try:
            found = sha256(content(path))
        except OSError as error:
            yield unverifiable(where, expected, error.strerror or str(error))
            continue
        if found != digest:
            yield Observation(where, expected, found[:16])


def _changes(before: Study, now: Study) -> str:
    keys = ("protocols", "strategies", "seeds", "plan")
    changed = [key for key in keys if getattr(before, key) != getattr(now, key)]
    return f"{', '.join(changed) or 'nothing that is still'} changed"


def _told(strategy: object) -> str:
    return str(strategy)[:200]


RULES: tuple[AnyRule, ...] = (
    RunRule(
        id="PRO-01",
        title="the fingerprint is that of the recorded protocol",
        why="a protocol changed after the fact no longer says what was run",
        evidence="protocol and fingerprint in the 'run' event, recomputed",
        fix="restore the record from a copy, or run it again in a new folder",
        reads=frozenset({"head"}),
        function=_fingerprint_is_the_recorded_protocols,
    ),
    RunRule(
        id="PRO-02",
        title="the protocol is the planned one",
        why="curves made under different protocols cannot be compared",
        evidence="fingerprint in the 'run' event and in study.json; and the reference for random, if the run had one",
        fix="run the study again in a new folder",
        reads=frozenset({"head", "plan"}),
        function=_fingerprint_is_the_planned_one,
    ),
    RunRule(
        id="PRO-03",
        title="strategy, seed and study are the planned ones",
        why="a record moved from another place of the plan, or from another study, is another run",
        evidence="strategy, replicate and study in the 'run' event, and study.json",
        fix="put the record back where it belongs, or run the study again in a new folder",
        reads=frozenset({"head", "plan"}),
        function=_run_is_the_planned_one,
    ),
    StudyRule(
        id="PRO-04",
        title="the plan was not amended",
        severity="warning",
        why="seeds or strategies added after a look at the results are chosen by them; the error rates were promised for the first plan",
        evidence="amendments.jsonl",
        fix="report the study as amended, or run the amended plan anew in a new folder",
        reads=frozenset({"plan"}),
        needs="plan",
        function=_plan_is_not_amended,
    ),
    StudyRule(
        id="PRO-05",
        title="the kept sources of own strategies are those that were run",
        why="whoever reads the source wants to know what was run, not what looks better",
        evidence="strategies/<strategy>-<digest>.py and source_digest in the plan",
        fix="restore the file from a copy",
        reads=frozenset({"plan"}),
        needs="plan",
        function=_kept_sources_are_those_that_ran,
    ),
)
