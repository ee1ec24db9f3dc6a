"""Results of a round's training, from which the features of a view are computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocol.draws.seeds import derive
from protocol.spec.protocol import Protocol
from runners.features.regions import Regions
from runners.regimes import Fit, FitInputs, Resident
from runners.strategies.view import Feature, Need

Makers = dict[Need, Callable[[], Feature]]
"""Functions that compute features, by need."""


@dataclass(frozen=True, eq=False)
class Round:
    """One round after training: its protocol and seed, training inputs, and trained networks."""

    protocol: Protocol
    replicate: int
    number: int
    inputs: FitInputs
    fitted: Fit
    resident: Resident
    regions: Regions | None = None
    """Unlabelled and labelled regions; `None` if whole images are labelled."""

    def seed(self, *keys: int | str) -> int:
        """Return a seed of the run's `estimator` stream in this round."""
        return derive(self.protocol.root_seed, "estimator", self.replicate, self.number, *keys)
