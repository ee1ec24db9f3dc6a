"""CMP: every planned run counts. A missing, empty or unreadable run is no success."""

from __future__ import annotations

from protocol.record.events import EndEvent, FailureEvent, ResumeEvent
from protocol.rules.evidence import RunEvidence
from protocol.rules.facts import StudyEvidence
from protocol.rules.rule import AnyRule, Observations, broken, run_rule, study_rule, unverifiable
from protocol.spec.study import BASELINE


@study_rule(
    "CMP-01",
    "every planned run exists",
    why="runs left out after a look at the results make any strategy win",
    evidence="study.json and the files under records/",
    fix="run the study again: missing runs are executed, finished runs are kept",
    reads={"presence"},
    needs="plan",
)
def missing_runs(study: StudyEvidence) -> Observations:
    for fact in study.facts:
        if not fact.present:
            yield broken(fact.path, "the record of a planned run", "no such file", fact.key)


@study_rule(
    "CMP-02",
    "no run beyond the plan",
    why="an extra attempt is a choice between results, unless the plan counts it",
    evidence="study.json and the folders under records/",
    fix="move runs of other studies out of the records/ folder, or plan them",
    reads={"plan", "presence"},
    needs="plan",
)
def unplanned_runs(study: StudyEvidence) -> Observations:
    for path in study.unplanned:
        yield broken(path, "runs of the plan only", "an unplanned run")


@run_rule(
    "CMP-03",
    "every run is finished and sealed",
    why="an unfinished curve has a different area under it; without the seal a removed tail goes unnoticed",
    evidence="the last line of each record",
    fix="run the study again: an unfinished run continues after its last complete round",
    reads={"seal"},
    needs="file",
)
def unsealed_runs(run: RunEvidence) -> Observations:
    if run.record is None:
        if run.problem is not None:
            yield unverifiable(run.problem)
        return
    expected, record = "a record that ends with its seal", run.record
    if not record.events:
        yield broken(run.path, expected, "no complete line")
    elif record.torn_bytes:
        found = f"{record.torn_bytes} bytes of an unfinished line"
        yield broken(f"{run.path}:{record.lines[-1] + 1}", expected, found)
    elif not record.sealed:
        yield broken(f"{run.path}:{record.lines[-1]}", expected, f"{record.events[-1].event!r} as last event")
    for where, end in run.of(EndEvent):
        if end.rounds != len(record.rounds):
            yield broken(
                where, f"a seal over the {len(record.rounds)} rounds of the record", f"a seal over {end.rounds}"
            )


@study_rule(
    "CMP-04",
    "the random baseline exists for every protocol and seed",
    why="without it no strategy can be said to beat anything",
    evidence="the records of strategy 'random'",
    fix="run the study again; random is always part of it",
    reads={"presence"},
    needs="plan",
)
def missing_baseline(study: StudyEvidence) -> Observations:
    for fact in study.facts:
        if fact.key.strategy != BASELINE:
            continue
        expected = f"a finished run of the random baseline ({fact.key.protocol}, seed {fact.key.seed})"
        if fact.present and not fact.readable:
            yield unverifiable(fact.path, expected, "a record that cannot be read", fact.key)
        elif not fact.sealed:
            yield broken(fact.path, expected, "an unfinished run" if fact.present else "no run", fact.key)


@run_rule(
    "CMP-05",
    "no attempt failed",
    severity="note",
    why="failures are kept and counted, so that no attempt can be dropped unseen",
    evidence="failure events of the records",
    fix="nothing, if the run was finished later; otherwise read the failure's details",
    reads={"attempts"},
)
def failed_attempts(run: RunEvidence) -> Observations:
    for where, failure in run.of(FailureEvent):
        found = f"round {failure.round}: {failure.kind}: {failure.message}"
        yield broken(where, "no failed attempt", found[:200])


@run_rule(
    "CMP-06",
    "no run was interrupted",
    severity="note",
    why="results measured before an interruption may have been seen, so interruptions are counted; QRY-04 compares "
    "what "
    "came after them",
    evidence="resume events of the records",
    fix="nothing, if QRY-04 is obeyed",
    reads={"attempts"},
)
def interruptions(run: RunEvidence) -> Observations:
    for where, resume in run.of(ResumeEvent):
        yield broken(where, "a run without interruption", f"continued at round {resume.next_round}")


RULES: tuple[AnyRule, ...] = (
    missing_runs,
    unplanned_runs,
    unsealed_runs,
    missing_baseline,
    failed_attempts,
    interruptions,
)
