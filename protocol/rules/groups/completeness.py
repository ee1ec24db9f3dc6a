"""CMP: the plan is the denominator. Missing is broken, empty is not success, unreadable is not success."""

from __future__ import annotations

from protocol.record.events import EndEvent, FailureEvent, ResumeEvent
from protocol.rules.evidence import RunEvidence, StudyEvidence
from protocol.rules.rule import AnyRule, Observation, Observations, RunRule, StudyRule, unverifiable
from protocol.spec.study import BASELINE


def _planned_runs_are_present(study: StudyEvidence) -> Observations:
    for fact in study.facts:
        if not fact.present:
            yield Observation(fact.path, "the record of a planned run", "no such file", str(fact.key))


def _no_unplanned_runs(study: StudyEvidence) -> Observations:
    for path in study.extra:
        yield Observation(path, "runs of the plan only", "a run that nobody planned")


def _runs_are_sealed(run: RunEvidence) -> Observations:
    key = str(run.key)
    if run.record is None:
        if run.problem is not None:
            yield unverifiable(run.problem.where, run.problem.expected, run.problem.found, key)
        return
    rounds = len(run.record.rounds)
    if not run.record.events:
        yield Observation(run.path, "a record that ends with its seal", "no whole line", key)
    elif run.record.torn_bytes:
        where = f"{run.path}:{run.record.lines[-1] + 1}"
        yield Observation(
            where, "a record that ends with its seal", f"{run.record.torn_bytes} bytes of an unfinished line", key
        )
    elif not run.record.sealed:
        where = f"{run.path}:{run.record.lines[-1]}"
        yield Observation(
            where, "a record that ends with its seal", f"{run.record.events[-1].event!r} as last event", key
        )
    for where, end in run.of(EndEvent):
        if end.rounds != rounds:
            yield Observation(
                where, f"a seal over the {rounds} rounds that are there", f"a seal over {end.rounds}", key
            )


def _random_is_there(study: StudyEvidence) -> Observations:
    for fact in study.facts:
        if fact.key.strategy != BASELINE:
            continue
        what = f"a finished run of the random baseline ({fact.key.protocol}, seed {fact.key.seed})"
        if fact.present and not fact.readable:
            yield unverifiable(fact.path, what, "a record that cannot be read", str(fact.key))
        elif not fact.sealed:
            yield Observation(fact.path, what, "an unfinished run" if fact.present else "no run", str(fact.key))


def _failed_attempts(run: RunEvidence) -> Observations:
    for where, failure in run.of(FailureEvent):
        yield Observation(
            where, "no failed attempt", f"round {failure.round}: {failure.kind}: {failure.message}"[:200], str(run.key)
        )


def _interruptions(run: RunEvidence) -> Observations:
    for where, resume in run.of(ResumeEvent):
        yield Observation(where, "a run without interruption", f"continued at round {resume.next_round}", str(run.key))


RULES: tuple[AnyRule, ...] = (
    StudyRule(
        id="CMP-01",
        title="every planned run is there",
        why="runs left out after a look at the results make any strategy win",
        evidence="study.json and the files under records/",
        fix="run the study again: what is missing is run, what is finished is kept",
        reads=frozenset({"presence"}),
        needs="plan",
        function=_planned_runs_are_present,
    ),
    StudyRule(
        id="CMP-02",
        title="no run beyond the plan",
        why="a further attempt is a choice between results, unless the plan counts it",
        evidence="study.json and the folders under records/",
        fix="move what is not of this study out of its records/ folder, or plan it",
        reads=frozenset({"plan", "presence"}),
        needs="plan",
        function=_no_unplanned_runs,
    ),
    RunRule(
        id="CMP-03",
        title="every run is finished and sealed",
        why="an unfinished curve has another area under it; without the seal a cut tail is not seen",
        evidence="the last line of each record",
        fix="run the study again: an unfinished run goes on at its last whole round",
        reads=frozenset({"seal"}),
        needs="file",
        function=_runs_are_sealed,
    ),
    StudyRule(
        id="CMP-04",
        title="the random baseline is there for every protocol and seed",
        why="without it no strategy can be said to beat anything",
        evidence="the records of strategy 'random'",
        fix="run the study again; random is always part of it",
        reads=frozenset({"presence"}),
        needs="plan",
        function=_random_is_there,
    ),
    RunRule(
        id="CMP-05",
        title="no attempt failed",
        severity="note",
        why="failures are kept and counted, so that nobody can drop an attempt unseen",
        evidence="failure events of the records",
        fix="nothing, if the run was finished later; else read the failure's details",
        reads=frozenset({"attempts"}),
        function=_failed_attempts,
    ),
    RunRule(
        id="CMP-06",
        title="no run was interrupted",
        severity="note",
        why="what was measured before an interruption may have been seen; so interruptions are counted, and QRY-04 looks at what came after",
        evidence="resume events of the records",
        fix="nothing, if QRY-04 is obeyed",
        reads=frozenset({"attempts"}),
        function=_interruptions,
    ),
)
