"""QRY-06: what came of choosing again, where somebody did (`beatrandom replay --keep`)."""

from __future__ import annotations

from protocol.errors import InputError
from protocol.folders import StudyFolder
from protocol.replays import read_replays
from protocol.rules.base import AnyRule, Observation, Observations, RunRule, unverifiable
from protocol.rules.evidence import RunEvidence


def _no_replay_differs(run: RunEvidence) -> Observations:
    path = StudyFolder(run.root).replays(run.key.protocol, run.key.strategy, run.key.seed)
    name, key = str(path.relative_to(run.root)), str(run.key)
    try:
        kept = read_replays(path)
    except InputError as error:
        yield unverifiable(name, error.faults[0].expected, error.faults[0].found, key)
        return
    for attempt in kept.attempts:
        if run.record is not None and attempt.head != run.record.head:
            yield Observation(name, f"a replay of the record as it is, {run.record.head[:16]}", f"of {attempt.head[:16]}", key)
        for outcome in attempt.rounds:
            if outcome.answer == "differs":
                yield Observation(f"{name}, round {outcome.round}", "what is recorded", outcome.said, key)


RULES: tuple[AnyRule, ...] = (
    RunRule(
        id="QRY-06",
        title="no replay that was kept contradicts the record",
        why="a query or predictions that the same seeds do not give again may have been made by somebody else",
        evidence="replays/<run>.json, written by `beatrandom replay --keep`; without one there is nothing to contradict",
        fix="run it again in a new folder; a strategy must draw from the generator it is given and from nothing else",
        reads=frozenset({"replays"}),
        function=_no_replay_differs,
    ),
)
