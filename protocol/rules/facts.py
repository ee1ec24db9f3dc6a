"""Facts that are kept of each run, for the rules that compare runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from protocol.digests import canonical_json, sha256
from protocol.record.amendments import Amendment
from protocol.record.events import (
    Event,
    FailureEvent,
    LabelsEvent,
    ResumeEvent,
    RoundEvent,
    RunEvent,
    TrialEvent,
)
from protocol.record.layout import StudyFolder
from protocol.rules.evidence import RunEvidence
from protocol.spec.data import FeatureCard
from protocol.spec.run_id import RunId
from protocol.spec.study import BASELINE, Study


@dataclass(frozen=True)
class Noted:
    """A value and the file:line where it stands."""

    where: str
    value: str


@dataclass(frozen=True)
class Facts:
    """What is kept of one planned run for the rules that compare runs.

    Attributes:
        content: digest of images and labels.
        data: that, and the digest of what can be bought of them where it is not whole images.
        encoded: card of the file that frozen features came from.
        strategy_started: whether the record says that the strategy chose its own starting set.
        curve: one digest of all rounds' budgets and metrics; None with fewer than two rounds.
        baseline_curve: (budget, the protocol's metric) of random where the protocol has a reference; else empty.
        first_predictions: predictions digest of the first round, where equal inputs give equal bytes (float32 on a
            CPU); else None.
        first_inputs: one short digest of what decides about `first_predictions` besides protocol and seed.
        environments: (file:line, environment) at the start and at every resumption.
        first_trials: one digest of the first round's trials, settings and scores; None without any.
    """

    key: RunId
    path: str
    present: bool
    readable: bool
    sealed: bool
    has_run: bool
    failures: int
    split: Noted | None
    content: Noted | None
    data: Noted | None
    encoded: FeatureCard | None
    initial: Noted | None
    strategy_started: bool
    weights: Noted | None
    seeds: Noted | None
    curve: Noted | None
    baseline_curve: tuple[tuple[int, float], ...]
    first_predictions: Noted | None
    first_inputs: str
    environments: tuple[tuple[str, Environment], ...]
    first_trials: Noted | None


Environment = tuple[tuple[str, str], ...]
"""A recorded environment, flat: ("python", "3.12.1"), ("packages.torch", "2.9.0"), …"""


def flat_environment(recorded: Mapping[str, Any]) -> Environment:
    """Join one level of nesting by a dot and turn every value into text; sorted by key."""
    flat: dict[str, str] = {}
    for key, value in recorded.items():
        inner = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
        flat |= {k: str(v) for k, v in inner.items()}
    return tuple(sorted(flat.items()))


def facts_of(run: RunEvidence) -> Facts:
    """Return the facts that are kept of a run."""
    head = next(iter(run.of(RunEvent)), None)
    rounds = run.of(RoundEvent)
    initial = next(((where, e) for where, e in run.of(LabelsEvent) if e.purpose == "initial"), None)
    first_inputs = _first_inputs(run)
    return Facts(
        key=run.key,
        path=run.path,
        present=run.record is not None or run.problem is not None,
        readable=run.record is not None,
        sealed=run.sealed,
        has_run=run.run is not None or bool(run.source and run.record),
        failures=len(run.of(FailureEvent)),
        split=Noted(head[0], head[1].split.digest) if head else None,
        content=Noted(head[0], head[1].data.digest) if head else None,
        data=Noted(head[0], head[1].data.digest + head[1].data.units) if head else None,
        encoded=head[1].data.encoded if head else None,
        initial=Noted(initial[0], _indices_digest(initial[1].indices)) if initial else None,
        strategy_started=initial is not None and initial[1].chosen,
        weights=Noted(rounds[0][0], _start_weights(rounds[0][1])) if rounds else None,
        seeds=Noted(head[0], _digest(sorted(head[1].seeds.items()))) if head else None,
        curve=Noted(rounds[0][0], _curve_digest([e for _, e in rounds])) if len(rounds) > 1 else None,
        baseline_curve=_baseline_curve(run, [e for _, e in rounds]),
        first_predictions=Noted(rounds[0][0], rounds[0][1].predictions) if rounds and first_inputs else None,
        first_inputs=first_inputs,
        environments=environments_of(run),
        first_trials=_first_trials(run),
    )


def _digest(value: object) -> str:
    return sha256(repr(value).encode())


def _indices_digest(indices: tuple[int, ...]) -> str:
    return sha256(canonical_json([str(i) for i in sorted(indices)]))


def _start_weights(first: RoundEvent) -> str:
    """Return one digest of what the first round started from; empty if its weights were not recorded."""
    body = first.pretrained if first.initial_weights else ""
    return sha256(f"{body} {first.initial_weights}".encode()) if body else first.initial_weights


_MACHINE: Final = frozenset({"python", "commit", "platform", "device", "device_name", "threads"})


def _first_inputs(run: RunEvidence) -> str:
    """Return one digest of everything that decides the first round's predictions.

    It covers the labels in order, the weights, the recipe and the machine.

    Empty if that is not known or does not give equal bytes.
    """
    bought: list[tuple[int, ...]] = []
    machine: dict[str, str] = {}
    for _, event in run.of(Event):
        if isinstance(event, LabelsEvent):
            bought.append(event.indices)
        elif isinstance(event, RunEvent | ResumeEvent):
            environment = flat_environment(event.environment)
            machine = {k: v for k, v in environment if k in _MACHINE or k.startswith("packages.")}
        elif isinstance(event, RoundEvent):
            exact = machine.get("device") == "cpu" and run.protocol.regime.precision == "float32"
            trained = [_start_weights(event), event.recipe, sorted(event.setting.items()), event.steps]
            known = exact and machine.keys() >= _MACHINE
            return _digest([bought, sorted(machine.items()), *trained])[:12] if known else ""
    return ""


def _first_trials(run: RunEvidence) -> Noted | None:
    trials = [(where, e) for where, e in run.of(TrialEvent) if e.round == 0]
    scores = [[sorted(e.setting.items()), sorted(e.validation.items())] for _, e in trials]
    return Noted(trials[0][0], _digest(scores)) if trials else None


def _baseline_curve(run: RunEvidence, rounds: list[RoundEvent]) -> tuple[tuple[int, float], ...]:
    if run.protocol.reference is None or run.strategy.id != BASELINE:
        return ()
    return tuple((e.budget, e.metrics[run.protocol.metric]) for e in rounds if run.protocol.metric in e.metrics)


def environments_of(run: RunEvidence) -> tuple[tuple[str, Environment], ...]:
    """Return (file:line, environment) of the start and of every resumption."""
    return tuple(
        (where, flat_environment(e.environment)) for where, e in run.of(Event) if isinstance(e, RunEvent | ResumeEvent)
    )


def _curve_digest(rounds: list[RoundEvent]) -> str:
    return _digest([(e.budget, sorted(e.metrics.items())) for e in rounds])


@dataclass(frozen=True)
class StudyEvidence:
    """The plan, the facts of every planned run (present or not), and unplanned run folders.

    Attributes:
        source: where the plan stands.
        amendments: earlier plans.
    """

    folder: StudyFolder
    study: Study
    facts: tuple[Facts, ...]
    unplanned: tuple[str, ...]
    source: str = "study.json"
    amendments: tuple[Amendment, ...] = ()
