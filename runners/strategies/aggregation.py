"""How the scores of an image's pixels become one number."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from protocol.errors import Fault, InputError


@dataclass(frozen=True)
class Aggregation:
    """A weighted mean over the pixels that score highest.

    Attributes:
        top_share: share of an image's pixels that count, those with the highest scores, in (0, 1]; 1 is all. At least one counts.
        boundary_weight: what a pixel on a boundary of the predicted map counts more than the others' 1; 0: all the same.
    """

    top_share: float = 1.0
    boundary_weight: float = 0.0

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.top_share <= 1:
            faults.append(Fault("strategy argument top_share", "above 0, at most 1", str(self.top_share)))
        if not 0 <= self.boundary_weight < math.inf:
            faults.append(Fault("strategy argument boundary_weight", "a finite number, at least 0", str(self.boundary_weight)))
        if self.top_share < 1 and self.boundary_weight > 0:
            found = f"top_share = {self.top_share}, boundary_weight = {self.boundary_weight}"
            faults.append(Fault("strategy arguments", "top_share or boundary_weight, not both", found, "leave one at its default"))
        if faults:
            raise InputError(faults)

    def __call__(self, scores: Tensor, samples: Tensor) -> Tensor:
        """(b,) one number an image.

        Args:
            scores: (b, height, width).
            samples: (b, s, k, height, width) probabilities; boundaries are those of their mean's most probable classes.
        """
        if self.boundary_weight:
            weights = 1 + self.boundary_weight * boundaries(samples.mean(1).argmax(1))
            return (scores * weights).flatten(1).sum(1) / weights.flatten(1).sum(1)
        flat = scores.flatten(1)
        if self.top_share == 1:
            return flat.mean(1)
        return flat.topk(math.ceil(self.top_share * flat.shape[1]), dim=1).values.mean(1)


def boundaries(predicted: Tensor) -> Tensor:
    """(b, height, width) 1 where a pixel's neighbour above, below, left or right has another class, else 0; of (b, height, width) classes."""
    found = torch.zeros_like(predicted, dtype=torch.bool)
    down, across = predicted[:, 1:] != predicted[:, :-1], predicted[:, :, 1:] != predicted[:, :, :-1]
    found[:, 1:] |= down
    found[:, :-1] |= down
    found[:, :, 1:] |= across
    found[:, :, :-1] |= across
    return found.float()
