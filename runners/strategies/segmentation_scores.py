"""Strategies that only predicted maps make possible: consistency under mirroring, and random by foreground."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from runners.strategies.base import top
from runners.strategies.dropout_and_ensembles import mutual_information
from runners.strategies.on_maps import MapStrategy, by_pixel, with_costs, worth
from runners.strategies.support.aggregation import Aggregation
from runners.strategies.view import Need, View


class EquAL(MapStrategy):
    """EquAL: buys the images whose maps change most when the image is mirrored.

    A pixel's score is the Jensen-Shannon divergence of its prediction and that of the same place in the mirrored image, in nats, in
    [0, log 2]. Of the paper this is the choice by inconsistency, for whole images; its consistency loss in training is a matter of the
    regime, which is the same for all strategies.

    Args: top_share, boundary_weight, per_cost: how pixels are made one number, see `Aggregation`.
    """

    needs: ClassVar[tuple[Need, ...]] = ("flip_map_scores",)
    paper = "after Golestaneh & Kitani 2020, arXiv 2008.01860"
    cost = "O(u k) a pixel, and a second pass over the pool"
    order_free = True

    def __init__(self, top_share: float = 1.0, boundary_weight: float = 0.0, per_cost: bool = False) -> None:
        self.aggregation = Aggregation(top_share, boundary_weight, per_cost)
        self.needs = with_costs(type(self).needs, self.aggregation)  # type: ignore[misc]  # per object, not per class

    def score_pixels(self, samples: Tensor) -> Tensor:
        """(b, height, width) divergence of the two maps of (b, 2, k, height, width)."""
        return by_pixel(mutual_information, samples)

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """The n most inconsistent images; ties at random."""
        return top(view, worth(self, view, view.flip_map_scores), n, rng)


class ForegroundRandom(MapStrategy):
    """Random, but an image's chance grows with the share of its pixels that are predicted to be foreground.

    Draws without replacement with probability proportional to that share (the n largest of log share + Gumbel noise); images without
    any come last. An extra baseline: what a strategy is worth beyond avoiding images of nothing.

    Args: background, the class that is not foreground.
    """

    needs: ClassVar[tuple[Need, ...]] = ("map_scores",)
    paper = "baseline of this project"
    cost = "O(u k) a pixel"

    def __init__(self, background: int = 0) -> None:
        if background < 0:
            raise InputError(Fault("strategy argument background", "a class, from 0", str(background)))
        self.background = background

    def score_pixels(self, samples: Tensor) -> Tensor:
        """(b, height, width) 1 where the most probable class, the first of equals, is not the background, else 0; of (b, 1, k, height, width)."""
        if self.background >= samples.shape[2]:
            raise InputError(
                Fault("strategy argument background", f"a class below {samples.shape[2]}", str(self.background))
            )
        return (samples[:, 0].argmax(1) != self.background).float()

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """One draw of n images."""
        share = view.map_scores.double().clamp(min=torch.finfo(torch.float64).tiny)
        return top(view, share.log() + torch.from_numpy(rng.gumbel(size=len(share))).to(share.device), n, rng)
