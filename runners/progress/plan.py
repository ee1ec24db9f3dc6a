"""List the runs that a study plans."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.spec.protocol import Protocol
from protocol.spec.study import BASELINE, StrategySpec, Study


@dataclass(frozen=True)
class Planned:
    """One run of the plan."""

    protocol: Protocol
    strategy: StrategySpec
    seed: int


def planned(study: Study) -> list[Planned]:
    """Every run of the plan, the baseline first, so that whatever else fails can be compared."""
    strategies = sorted(study.strategies, key=lambda s: s.id != BASELINE)
    return [Planned(p, s, seed) for s in strategies for p in study.protocols for seed in study.seeds]
