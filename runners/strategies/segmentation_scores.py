"""Strategies for predicted maps only: consistency under mirroring, and random selection by foreground."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from runners.strategies.base import top
from runners.strategies.dropout_and_ensembles import mutual_information
from runners.strategies.on_maps import MapStrategy, by_pixel, selection_values, with_costs
from runners.strategies.support.aggregation import Aggregation
from runners.strategies.view import Need, View


class EquAL(MapStrategy):
    """Select the images whose predicted maps change most when the image is mirrored (EquAL).

    The score of a pixel is the Jensen-Shannon divergence of its prediction and the prediction for the same place in the
    mirrored image, in nats, in [0, log 2]. This is the paper's selection by inconsistency, for whole images. Its
    consistency loss during training is left out, since training is the same for all strategies.

    Args:
        top_share, boundary_weight, per_cost: how scores of pixels become one score, see `Aggregation`.
    """

    needs: ClassVar[tuple[Need, ...]] = ("flip_map_scores",)
    paper = "after Golestaneh & Kitani 2020, arXiv 2008.01860"
    cost = "O(u k) per pixel, and a second pass over the pool"
    order_free = True

    def __init__(self, top_share: float = 1.0, boundary_weight: float = 0.0, per_cost: bool = False) -> None:
        self.aggregation = Aggregation(top_share, boundary_weight, per_cost)
        self.needs = with_costs(type(self).needs, self.aggregation)  # type: ignore[misc]  # per object, not per class

    def score_pixels(self, samples: Tensor) -> Tensor:
        """Return the divergence of the two maps, (b, height, width), of samples (b, 2, k, height, width)."""
        return by_pixel(mutual_information, samples)

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the n most inconsistent images; break ties at random."""
        return top(view, selection_values(self, view, view.flip_map_scores), n, rng)


class ForegroundRandom(MapStrategy):
    """Draw images with probability proportional to their share of pixels predicted as foreground.

    Drawing is without replacement (the n largest of log share + Gumbel noise); images without foreground come last. An
    extra baseline: it shows what a strategy gains beyond avoiding images of background.

    Args:
        background: number of the background class, >= 0.
    """

    needs: ClassVar[tuple[Need, ...]] = ("map_scores",)
    paper = "baseline of this project"
    cost = "O(u k) per pixel"

    def __init__(self, background: int = 0) -> None:
        if background < 0:
            raise InputError(Fault("strategy argument background", "a class, from 0", str(background)))
        self.background = background

    def score_pixels(self, samples: Tensor) -> Tensor:
        """Return 1 where the most probable class is not the background, else 0, shape (b, height, width).

        Args:
            samples: probabilities, shape (b, 1, k, height, width); of equally probable classes the first counts.
        """
        if self.background >= samples.shape[2]:
            raise InputError(
                Fault("strategy argument background", f"a class below {samples.shape[2]}", str(self.background))
            )
        return (samples[:, 0].argmax(1) != self.background).float()

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return one draw of n images."""
        share = view.map_scores.double().clamp(min=torch.finfo(torch.float64).tiny)
        return top(view, share.log() + torch.from_numpy(rng.gumbel(size=len(share))).to(share.device), n, rng)
