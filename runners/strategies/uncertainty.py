"""Uncertainty sampling (Settles 2009, Active Learning Literature Survey, section 3.1)."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from protocol.draws.splits import Indices
from runners.strategies.base import Strategy, top
from runners.strategies.support.aggregation import Aggregation
from runners.strategies.view import Need, View


def entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy in nats over the last dimension of probabilities, shape (..., k).

    0 log 0 is 0.
    """
    terms: Tensor = torch.special.entr(probabilities)
    return terms.sum(-1)


class Uncertainty(Strategy):
    """Select the n images with the highest `score` of their predicted probabilities.

    Args:
        top_share, boundary_weight, per_cost: how scores of pixels become one score (segmentation only), see
            `Aggregation`.
    """

    needs: ClassVar[tuple[Need, ...]] = ("probabilities",)
    paper = "Settles 2009"
    cost = "O(u k)"
    order_free = True

    def __init__(self, top_share: float = 1.0, boundary_weight: float = 0.0, per_cost: bool = False) -> None:
        self.aggregation = Aggregation(top_share, boundary_weight, per_cost)

    @staticmethod
    @abstractmethod
    def score(probabilities: Tensor) -> Tensor:
        """Return the uncertainty, shape (u,), of probabilities of shape (u, k); the highest are selected."""

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the n most uncertain images; break ties at random."""
        return self.choose(view, self.score(view.probabilities), n, rng)

    def choose(self, view: View, scores: Tensor, n: int, rng: np.random.Generator) -> Indices:
        """Return the images with the n highest scores, shape (u,); break ties at random."""
        return top(view, scores, n, rng)


class LeastConfidence(Uncertainty):
    """Select the images with the least confident predictions: 1 - max_k p_k, in [0, 1 - 1/k]."""

    @staticmethod
    def score(probabilities: Tensor) -> Tensor:
        """Return 1 - max p."""
        return 1 - probabilities.amax(1)


class Margin(Uncertainty):
    """Select the images with the smallest margin between the two most probable classes.

    The score is p_(2) - p_(1), in [-1, 0].
    """

    least = -1.0

    @staticmethod
    def score(probabilities: Tensor) -> Tensor:
        """Return the second largest minus the largest probability."""
        if probabilities.shape[1] == 1:  # with one class every image is certain
            return -probabilities[:, 0]
        first, second = probabilities.topk(2, dim=1).values.unbind(1)
        return second - first


class Entropy(Uncertainty):
    """Select the images with the largest predictive entropy: -sum_k p_k log p_k, in nats, in [0, log k]."""

    @staticmethod
    def score(probabilities: Tensor) -> Tensor:
        """Return the entropy in nats."""
        return entropy(probabilities)
