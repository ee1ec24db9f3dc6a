"""What a regime is given and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BeatRandomError
from protocol.splits import Indices
from runners.datasets.base import Images
from runners.regimes.learner import Learner


class Diverged(BeatRandomError):
    """Training ended with weights that are not finite; the run failed."""


@dataclass(frozen=True, eq=False)
class FitInputs:
    """What a regime may train on in one round.

    Attributes:
        images: the data set's images (no labels).
        labelled: (l,) int64 indices owned so far, l >= 1, in the order of purchase.
        labels: (l,) int64 their classes.
        validation: (v,) int64 indices of bought validation images, v >= 0.
        validation_labels: (v,) int64 their classes.
        unlabelled: (u,) int64 the rest of the pool; its images may be used, its labels are nowhere here.
    """

    images: Images
    labelled: Indices
    labels: NDArray[np.int64] = field(repr=False)
    validation: Indices
    validation_labels: NDArray[np.int64] = field(repr=False)
    unlabelled: Indices

    @property
    def pool(self) -> Indices:
        """(l + u,) all indices that can be or have been bought."""
        return np.concatenate([self.labelled, self.unlabelled])


@dataclass(frozen=True, eq=False)
class Fit:
    """One round's training.

    Attributes:
        learner: predicts with the selected weights.
        steps: optimisation steps made.
        initial_weights: SHA-256 of weights and buffers before the first step; the same in every round of a seed.
        recipe: SHA-256 of regime and model as executed; the same for every strategy of a comparison.
        validation: metrics of the selected weights on the validation images; empty without any.
        extra: further numbers for the record: final training loss, step of the selected weights.
    """

    learner: Learner
    steps: int
    initial_weights: str
    recipe: str
    validation: dict[str, float] = field(default_factory=dict)
    extra: dict[str, float] = field(default_factory=dict)
