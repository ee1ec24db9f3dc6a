"""PRO: curves are compared only if they were made under one and the same protocol, the planned one."""

from __future__ import annotations

from protocol.events import RunEvent
from protocol.rules.base import AnyRule, Observation, Observations, RunRule, unverifiable
from protocol.rules.evidence import RunEvidence


def _fingerprint_is_the_recorded_protocols(run: RunEvidence) -> Observations:
    for where, event in run.of(RunEvent):
        actual = event.protocol.fingerprint
        if event.fingerprint != actual:
            yield Observation(where, f"the fingerprint of the recorded protocol, {actual[:16]}", event.fingerprint[:16], str(run.key))


def _fingerprint_is_the_planned_one(run: RunEvidence) -> Observations:
    planned = run.protocol.fingerprint
    for where, event in run.of(RunEvent):
        if event.fingerprint != planned:
            yield Observation(where, f"the planned protocol {run.protocol.name}, {planned[:16]}", event.fingerprint[:16], str(run.key))


def _run_is_the_planned_one(run: RunEvidence) -> Observations:
    key = str(run.key)
    for where, event in run.of(RunEvent):
        if event.strategy != run.strategy:
            yield Observation(where, f"strategy {_told(run.strategy)}", _told(event.strategy), key)
        if event.replicate != run.key.seed:
            yield Observation(where, f"replicate {run.key.seed}", str(event.replicate), key)
        if not event.study:
            yield unverifiable(where, "the fingerprint of the study that planned the run", "nothing recorded", key)
        elif event.study != run.study.fingerprint:
            yield Observation(where, f"planned by this study, {run.study.fingerprint[:16]}", event.study[:16], key)


def _told(strategy: object) -> str:
    return str(strategy)[:200]


RULES: tuple[AnyRule, ...] = (
    RunRule(
        id="PRO-01",
        title="the fingerprint is that of the recorded protocol",
        why="a protocol changed after the fact no longer says what was run",
        evidence="protocol and fingerprint in the 'run' event, recomputed",
        fix="restore the record from a copy, or run it again in a new folder",
        function=_fingerprint_is_the_recorded_protocols,
    ),
    RunRule(
        id="PRO-02",
        title="the protocol is the planned one",
        why="curves made under different protocols cannot be compared",
        evidence="fingerprint in the 'run' event and in study.json",
        fix="run the study again in a new folder",
        function=_fingerprint_is_the_planned_one,
    ),
    RunRule(
        id="PRO-03",
        title="strategy, seed and study are the planned ones",
        why="a record moved from another place of the plan, or from another study, is another run",
        evidence="strategy, replicate and study in the 'run' event, and study.json",
        fix="put the record back where it belongs, or run the study again in a new folder",
        function=_run_is_the_planned_one,
    ),
)
