"""What a regime is given and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from protocol.draws.splits import Indices
from protocol.errors import BeatRandomError, Fault, InputError
from runners.datasets.images import Images
from runners.models.learner import TrainedNetwork

Labelled = tuple[Indices, NDArray[np.integer]]
"""Indices and their labels, in one order."""


class Diverged(BeatRandomError):
    """Training ended with weights that are not finite; the run failed."""


@dataclass(frozen=True, eq=False)
class FitInputs:
    """What a regime may train on in one round.

    Attributes:
        images: the data set's images (no labels).
        labelled: (l,) int64 indices owned so far, l >= 1, in the order of purchase.
        labels: (l,) int64 their classes; of segmentation (l, height, width) uint8, 255 where void.
        validation: (v,) int64 indices of bought validation images, v >= 0.
        validation_labels: (v,) int64 their classes, or maps like `labels`.
        unlabelled: (u,) int64 the rest of the pool; its images may be used, its labels are nowhere here.
        useless: (w,) int64 bought images of none of the task's classes, w >= 0; still images of the pool.
    """

    images: Images
    labelled: Indices
    labels: NDArray[np.integer] = field(repr=False)
    validation: Indices
    validation_labels: NDArray[np.integer] = field(repr=False)
    unlabelled: Indices
    useless: Indices = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(cls, images: Images, bought: Labelled, validated: Labelled, unlabelled: Indices, where: str) -> FitInputs:
        """From what was bought; images of none of the task's classes (label -1) are set aside.

        Raises:
            InputError: none is left to learn from.
        """
        (indices, labels), (validation, validation_labels) = bought, validated
        known, judged = ((told >= 0).all(axis=tuple(range(1, told.ndim))) for told in (labels, validation_labels))
        if not known.any():
            fix = "start with more labels, or with splits.initial = 'balanced'"
            raise InputError(
                Fault(where, "a labelled image of one of the task's classes", f"none among {len(labels)} bought", fix)
            )
        own = (indices[known], labels[known], validation[judged], validation_labels[judged])
        return cls(images, *own, unlabelled, indices[~known])

    @property
    def pool(self) -> Indices:
        """(l + u + w,) all indices that can be or have been bought."""
        return np.concatenate([self.labelled, self.unlabelled, self.useless])


@dataclass(frozen=True, eq=False)
class EndState:
    """The weights that a round was evaluated with: tensors by name, on the CPU, and their digest as records have it."""

    state: dict[str, Tensor] = field(repr=False)
    digest: str


@dataclass(frozen=True, eq=False)
class Fit:
    """One round's training.

    Attributes:
        learner: predicts with the selected weights.
        steps: optimisation steps made.
        initial_weights: SHA-256 of weights and buffers before the first step; the same in every round of a seed, unless the start is warm.
        recipe: SHA-256 of regime and model as executed; the same for every strategy of a comparison.
        validation: metrics of the selected weights on the validation images; empty without any.
        pretrained: SHA-256 of the pretrained body that the round started from; empty: none.
        extra: further numbers for the record: final training loss, step of the selected weights.
        end: what the next round starts from; None: from the seed's own weights.
    """

    learner: TrainedNetwork[Any]
    steps: int
    initial_weights: str
    recipe: str
    validation: dict[str, float] = field(default_factory=dict)
    extra: dict[str, float] = field(default_factory=dict)
    pretrained: str = ""
    end: EndState | None = None
