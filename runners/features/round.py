"""Hold what a round offers to the makers of a view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocol.draws.seeds import derive
from protocol.spec.protocol import Protocol
from runners.features.regions import Regions
from runners.regimes import Fit, FitInputs, Resident
from runners.strategies.view import Feature, Need

Makers = dict[Need, Callable[[], Feature]]
"""What strategies may need, made when asked for."""


@dataclass(frozen=True, eq=False)
class Round:
    """One round after training: whose it is, what was trained on, and what came of it."""

    protocol: Protocol
    replicate: int
    number: int
    inputs: FitInputs
    fitted: Fit
    resident: Resident
    regions: Regions | None = None
    """What can be bought and what is owned; None where whole images are."""

    def seed(self, *keys: int | str) -> int:
        """A seed of the run's `estimator` stream in this round."""
        return derive(self.protocol.root_seed, "estimator", self.replicate, self.number, *keys)
