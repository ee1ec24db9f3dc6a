"""How the scores of an image's pixels become one number."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from protocol.errors import Fault, InputError


@dataclass(frozen=True)
class Aggregation:
    """A weighted mean over the pixels that score highest; or the worth of labelling them all for its price.

    Attributes:
        top_share: share of an image's pixels that count, those with the highest scores, in (0, 1]; 1 is all. At least one counts.
        boundary_weight: what a pixel on a boundary of the predicted map counts more than the others' 1; 0: all the same.
        per_cost: choose by that mean times the number of pixels, divided by what the image or region is expected to cost, rather than by
            the mean (benefit per cost, Settles et al. 2008, NIPS workshop on cost-sensitive learning; of regions Mackowiak et al. 2018,
            arXiv 1810.09726, and Colling et al. 2020, arXiv 2010.01884). Where pixels are the price, and of whole images with one price,
            the order is the same.
    """

    top_share: float = 1.0
    boundary_weight: float = 0.0
    per_cost: bool = False

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.top_share <= 1:
            faults.append(Fault("strategy argument top_share", "above 0, at most 1", str(self.top_share)))
        if not 0 <= self.boundary_weight < math.inf:
            faults.append(
                Fault("strategy argument boundary_weight", "a finite number, at least 0", str(self.boundary_weight))
            )
        if self.top_share < 1 and self.boundary_weight > 0:
            found = f"top_share = {self.top_share}, boundary_weight = {self.boundary_weight}"
            faults.append(
                Fault("strategy arguments", "top_share or boundary_weight, not both", found, "leave one at its default")
            )
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

    def by_region(self, scores: Tensor, samples: Tensor, places: Tensor, count: int) -> Tensor:
        """(count,) one number a region: the same mean over its pixels alone.

        Args:
            scores, samples: as above.
            places: (b, height, width) region of every pixel, in 0 … count - 1, each with at least one.
        """
        at, flat = places.flatten(), scores.flatten().double()
        if self.boundary_weight:
            weights = (1 + self.boundary_weight * boundaries(samples.mean(1).argmax(1))).flatten().double()
        else:
            weights = self._highest(flat, at, count)
        total, weight = (flat.new_zeros(count).index_add_(0, at, values) for values in (flat * weights, weights))
        return (total / weight).to(scores.dtype)

    def _highest(self, flat: Tensor, at: Tensor, count: int) -> Tensor:
        """1 for the share of each region's pixels with the highest scores, 0 for the others."""
        if self.top_share == 1:
            return torch.ones_like(flat)
        order = flat.argsort(descending=True, stable=True)
        order = order[at[order].argsort(stable=True)]  # region by region, the highest first
        sizes = torch.bincount(at, minlength=count)
        rank = torch.arange(len(flat), device=flat.device) - (sizes.cumsum(0) - sizes)[at[order]]
        kept = rank < (self.top_share * sizes.double()).ceil().clamp(min=1)[at[order]]
        return torch.zeros_like(flat).index_copy_(0, order, kept.to(flat.dtype))


def boundaries(predicted: Tensor) -> Tensor:
    """(b, height, width) 1 where a pixel's neighbour above, below, left or right has another class, else 0; of (b, height, width) classes."""
    found = torch.zeros_like(predicted, dtype=torch.bool)
    down, across = predicted[:, 1:] != predicted[:, :-1], predicted[:, :, 1:] != predicted[:, :, :-1]
    found[:, 1:] |= down
    found[:, :-1] |= down
    found[:, :, 1:] |= across
    found[:, :, :-1] |= across
    return found.float()
