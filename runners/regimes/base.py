"""Inputs and results of one round of training."""

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
"""Indices and their labels, in the same order."""


class Diverged(BeatRandomError):
    """Training ended with weights that are not finite, so the run failed."""


@dataclass(frozen=True, eq=False)
class FitInputs:
    """Images and labels that a regime may train on in one round.

    Attributes:
        images: images of the data set, without labels.
        labelled: (l,) int64 indices labelled so far, l >= 1, in the order in which they were queried.
        labels: (l,) int64 their classes; for segmentation (l, height, width) uint8, 255 where void.
        validation: (v,) int64 indices of labelled validation images, v >= 0.
        validation_labels: (v,) int64 their classes, or maps like `labels`.
        unlabelled: (u,) int64 the rest of the pool. Its images may be used; its labels are not available here.
        useless: (w,) int64 labelled images of none of the task's classes, w >= 0. They still belong to the pool.
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
        """Build the inputs from labels bought so far.

        Images of none of the task's classes (label -1) become `useless`.

        Raises:
            InputError: no labelled image of the task's classes is left.
        """
        (indices, labels), (validation, validation_labels) = bought, validated
        useful, validating = ((y >= 0).all(axis=tuple(range(1, y.ndim))) for y in (labels, validation_labels))
        if not useful.any():
            fix = "start with more labels, or with splits.initial = 'balanced'"
            raise InputError(
                Fault(where, "a labelled image of one of the task's classes", f"none among {len(labels)} bought", fix)
            )
        return cls(
            images,
            labelled=indices[useful],
            labels=labels[useful],
            validation=validation[validating],
            validation_labels=validation_labels[validating],
            unlabelled=unlabelled,
            useless=indices[~useful],
        )

    @property
    def pool(self) -> Indices:
        """Return (l + u + w,) all indices that have been or can be queried."""
        return np.concatenate([self.labelled, self.unlabelled, self.useless])


@dataclass(frozen=True, eq=False)
class EndState:
    """Weights that a round was evaluated with: tensors by name, on the CPU, and their digest."""

    state: dict[str, Tensor] = field(repr=False)
    digest: str


@dataclass(frozen=True, eq=False)
class Fit:
    """Result of one round of training.

    Attributes:
        learner: predicts with the selected weights.
        steps: number of optimisation steps made.
        initial_weights: SHA-256 of weights and buffers before the first step. It is the same in every round of a seed,
            unless the start is warm.
        recipe: SHA-256 of regime and model as executed; the same for every strategy of a comparison.
        validation: metrics of the selected weights on the validation images; empty without validation images.
        pretrained: SHA-256 of the pretrained body that the round started from; empty without one.
        extra: further numbers for the record, such as the final training loss and the step of the selected weights.
        end: state that the next round starts from; `None`: the next round starts from the seed's initial weights.
    """

    learner: TrainedNetwork[Any]
    steps: int
    initial_weights: str
    recipe: str
    validation: dict[str, float] = field(default_factory=dict)
    extra: dict[str, float] = field(default_factory=dict)
    pretrained: str = ""
    end: EndState | None = None
