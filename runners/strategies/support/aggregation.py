"""Aggregate the scores of an image's pixels into one score."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from protocol.errors import Fault, InputError


@dataclass(frozen=True)
class Aggregation:
    """Weighted mean over the pixels with the highest scores, or benefit per cost.

    Attributes:
        top_share: share of an image's pixels that count, those with the highest scores, in (0, 1]. At least one counts.
        boundary_weight: additional weight of pixels on a boundary of the predicted map, >= 0; other pixels have weight
            1.
        per_cost: select by that mean times the number of pixels, divided by the expected cost of the image or region,
            instead of by the mean (benefit per cost: Settles et al. 2008, NIPS workshop on cost-sensitive learning; for
            regions Mackowiak et al. 2018, arXiv 1810.09726, and Colling et al. 2020, arXiv 2010.01884). The order is
            the same if the cost is the number of pixels, or for whole images of equal cost.
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
        """Return one score per image, shape (b,).

        Args:
            scores: scores of pixels, shape (b, height, width).
            samples: probabilities, shape (b, s, k, height, width); the most probable classes of their mean give the
                boundaries.
        """
        if self.boundary_weight:
            weights = 1 + self.boundary_weight * boundaries(samples.mean(1).argmax(1))
            return (scores * weights).flatten(1).sum(1) / weights.flatten(1).sum(1)
        flat = scores.flatten(1)
        if self.top_share == 1:
            return flat.mean(1)
        return flat.topk(math.ceil(self.top_share * flat.shape[1]), dim=1).values.mean(1)

    def by_region(self, scores: Tensor, samples: Tensor, places: Tensor, count: int) -> Tensor:
        """Return one score per region, shape (count,): the mean over its pixels only.

        Args:
            scores, samples: scores and probabilities of pixels, as for images.
            places: region of every pixel, shape (b, height, width), in 0 ... count - 1; no region is empty.
            count: number of regions.
        """
        at, flat = places.flatten(), scores.flatten().double()
        if self.boundary_weight:
            weights = (1 + self.boundary_weight * boundaries(samples.mean(1).argmax(1))).flatten().double()
        else:
            weights = self._highest(flat, at, count)
        total, weight = (flat.new_zeros(count).index_add_(0, at, values) for values in (flat * weights, weights))
        return (total / weight).to(scores.dtype)

    def _highest(self, flat: Tensor, at: Tensor, count: int) -> Tensor:
        """Return 1 for the share of each region's pixels with the highest scores, 0 for the others."""
        if self.top_share == 1:
            return torch.ones_like(flat)
        order = flat.argsort(descending=True, stable=True)
        order = order[at[order].argsort(stable=True)]  # region by region, the highest first
        sizes = torch.bincount(at, minlength=count)
        rank = torch.arange(len(flat), device=flat.device) - (sizes.cumsum(0) - sizes)[at[order]]
        kept = rank < (self.top_share * sizes.double()).ceil().clamp(min=1)[at[order]]
        return torch.zeros_like(flat).index_copy_(0, order, kept.to(flat.dtype))


def boundaries(predicted: Tensor) -> Tensor:
    """Return 1 for pixels with a neighbour of a different class, else 0, shape (b, height, width).

    Neighbours are the pixels above, below, left and right.

    Args:
        predicted: classes, shape (b, height, width).
    """
    edges = torch.zeros_like(predicted, dtype=torch.bool)
    down, across = predicted[:, 1:] != predicted[:, :-1], predicted[:, :, 1:] != predicted[:, :, :-1]
    edges[:, 1:] |= down
    edges[:, :-1] |= down
    edges[:, :, 1:] |= across
    edges[:, :, :-1] |= across
    return edges.float()
