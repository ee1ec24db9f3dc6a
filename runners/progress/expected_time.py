"""Estimate how long runs take: from finished runs, or else from their work."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from protocol.record.layout import StudyFolder
from protocol.safe_read import read_bytes
from protocol.spec.protocol import Protocol
from protocol.spec.study import BASELINE
from runners.progress.plan import PlannedRun
from runners.progress.status import RunStatus

SAMPLES: Final = 3
_PASSES: Final = 30


def expected_seconds(folder: StudyFolder, statuses: Sequence[RunStatus]) -> dict[tuple[str, str], float]:
    """Return the mean seconds of up to three finished runs per (protocol, strategy)."""
    done: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for s in statuses:
        key = (s.planned.protocol.name, s.planned.strategy.id)
        if s.state == "done" and len(done[key]) < SAMPLES:
            done[key].append(folder.run(s.planned.id).events)
    return {key: sum(map(_seconds, paths)) / len(paths) for key, paths in done.items() if paths}


def _seconds(events: Path) -> float:
    rounds = [
        row
        for row in map(json.loads, read_bytes(events, root=events.parents[4]).splitlines())
        if row["event"] == "round"
    ]
    return float(sum(value for row in rounds for name, value in row["cost"].items() if name.endswith("_s")))


def training_work(run: PlannedRun) -> float:
    """Return the number of images trained on in all rounds and trials.

    It stands in for a run's time before one is measured.
    """
    regime = run.protocol.regime
    steps = [regime.max_steps(labels) for labels in run.protocol.training_labels]
    if regime.solver is not None:  # a few dozen passes over the labelled images, whatever the limit
        steps = [_PASSES * labels for labels in run.protocol.training_labels]
    trials = regime.tuning.steps_of(steps) if regime.tuning else 0
    return float((sum(steps) + trials) * (regime.batch_size or 1))


def seconds_of(runs: Sequence[PlannedRun], measured: dict[tuple[str, str], float]) -> list[float]:
    """Return the expected seconds of each run.

    They are measured for its protocol and strategy, else for its protocol, else derived from its work.

    Without any measurement the unit is arbitrary; only the order counts.
    """
    by_protocol: dict[str, list[float]] = defaultdict(list)
    for (protocol, _), seconds in measured.items():
        by_protocol[protocol].append(seconds)
    mean = {protocol: sum(values) / len(values) for protocol, values in by_protocol.items()}
    works = {run.protocol.name: training_work(run) for run in runs}
    paces = [mean[name] / work for name, work in works.items() if name in mean]
    pace = sum(paces) / len(paces) if paces else 1.0
    return [
        measured.get((run.protocol.name, run.strategy.id), mean.get(run.protocol.name, pace * works[run.protocol.name]))
        for run in runs
    ]


def longest_first(todo: Sequence[RunStatus], seconds: Sequence[float]) -> list[RunStatus]:
    """Sort runs: the baseline first, then the longest.

    Without the baseline nothing can be compared; a long run at the end would keep all slots but one idle.
    """
    ranked = sorted(
        zip(todo, seconds, strict=True), key=lambda pair: (pair[0].planned.strategy.id != BASELINE, -pair[1])
    )
    return [s for s, _ in ranked]


def seconds_left(statuses: Sequence[RunStatus], seconds: Sequence[float]) -> float:
    """Return the expected seconds of all runs that are not done, one after the other."""
    return sum(t * (1 - _share_done(s)) for s, t in zip(statuses, seconds, strict=True) if s.state != "done")


def count_trainings(protocol: Protocol, rounds: int, trials: int = 0) -> int:
    """Return the number of trainings after `rounds` rounds and `trials` trials for the next one."""
    tuning = protocol.regime.tuning
    tried = sum(tuning.trials for k in range(rounds) if tuning.round_of(k) == k) if tuning else 0
    return rounds + tried + trials


def _share_done(s: RunStatus) -> float:
    """Return the share of rounds done; for tuned protocols, of steps in rounds and trials."""
    protocol, tuning = s.planned.protocol, s.planned.protocol.regime.tuning
    if tuning is None:
        return s.rounds / len(protocol.budgets)
    steps = [protocol.regime.max_steps(labels) for labels in protocol.training_labels]
    trials = [tuning.trials * n if tuning.round_of(k) == k else 0 for k, n in enumerate(steps)]
    current = s.trials * steps[s.rounds] if s.rounds < len(steps) else 0
    return (sum(steps[: s.rounds]) + sum(trials[: s.rounds]) + current) / (sum(steps) + sum(trials))
