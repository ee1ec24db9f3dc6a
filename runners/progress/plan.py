"""List the runs that a study plans."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import BASELINE, StrategySpec, Study


@dataclass(frozen=True)
class PlannedRun:
    """One run of the plan, with the definitions of its protocol and strategy."""

    protocol: Protocol
    strategy: StrategySpec
    seed: int

    @property
    def id(self) -> RunId:
        """Return the names of protocol and strategy, and the seed."""
        return RunId(self.protocol.name, self.strategy.id, self.seed)


def planned_runs(study: Study) -> list[PlannedRun]:
    """Return every run of the plan, the baseline first: without it, nothing can be compared."""
    strategies = sorted(study.strategies, key=lambda s: s.id != BASELINE)
    return [PlannedRun(p, s, seed) for s in strategies for p in study.protocols for seed in study.seeds]
