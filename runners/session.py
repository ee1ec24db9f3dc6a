"""What one run works with: protocol, seed, images, split, oracle, and device."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from protocol.draws.splits import Split
from protocol.oracle.oracle import LabelOracle
from protocol.spec.protocol import Protocol
from protocol.spec.tuning import HyperparameterSetting
from protocol.spec.units import Division
from runners.datasets import Images
from runners.regimes import FitInputs, Resident


@dataclass(frozen=True, eq=False)
class Session:
    """Everything that is fixed while one run is made.

    Attributes:
        strategy: id of the strategy, for error messages.
        seed: the run's seed.
        images: what is trained on: images, or their embeddings after pretraining.
        resident: the same, on the device.
        division: units that can be queried; None: whole images.
    """

    protocol: Protocol
    strategy: str
    seed: int
    images: Images
    split: Split
    oracle: LabelOracle
    resident: Resident
    division: Division | None = None

    @property
    def queries_regions(self) -> bool:
        """Return whether labels are bought for regions of images."""
        return self.division is not None and self.division.maps is not None

    def inputs(self, k: int) -> FitInputs:
        """Return what round `k` trains on: the labels bought up to its budget, no later ones."""
        labelled = self.oracle.labels_of(self.oracle.labelled_at(k))
        unlabelled = np.setdiff1d(self.oracle.pool, labelled[0], assume_unique=True)
        where = f"protocol {self.protocol.name}, round {k}"
        return FitInputs.of(self.images, labelled, self.oracle.validation(), unlabelled, where)

    def with_setting(self, setting: HyperparameterSetting) -> Session:
        """Return the session with a tuned recipe; an empty setting changes nothing."""
        return replace(self, protocol=self.protocol.with_setting(setting)) if setting else self
