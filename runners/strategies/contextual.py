"""Contextual diversity: k-center greedy over predictions (Agarwal et al. 2020, ECCV, arXiv 2008.05723; the core-set form)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from protocol.splits import Indices
from runners.strategies.base import Strategy
from runners.strategies.view import Need, View

FLOOR = 1e-7
"""Probabilities are lifted to this, so that certainty has a finite divergence."""
CELLS = 2**24
"""Divergences held at a time, 128 MiB."""


class ContextualDiversity(Strategy):
    """Buys images whose predicted class mixtures differ most from all that is labelled or chosen.

    The distance is the symmetric Kullback-Leibler divergence of the predictions (equation 3, with an image as
    its one region). As in the authors' code the first image is drawn at random.
    """

    needs: ClassVar[tuple[Need, ...]] = ("probabilities", "labelled_probabilities")
    paper = "Agarwal et al. 2020, arXiv 2008.05723"
    cost = "O((l + n) u k)"

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """The greedy sequence, in order."""
        return view.unlabelled[farthest_predictions(view.probabilities, view.labelled_probabilities, n, rng)]


class Predictions:
    """Predictions (m, k) made ready for divergences: lifted to `FLOOR`, with their logarithms and negative entropies."""

    def __init__(self, probabilities: Tensor) -> None:
        lifted = probabilities.double().clamp(min=FLOOR)
        self.p = lifted / lifted.sum(1, keepdim=True)
        self.log = self.p.log()
        self.own = (self.p * self.log).sum(1)

    def to(self, p: Tensor, log: Tensor, own: Tensor) -> Tensor:
        """(m, j) values 1/2 KL(a || b) + 1/2 KL(b || a) in nats, >= 0, to j others given by p, log (j, k) and own (j,)."""
        return ((self.own[:, None] + own - self.p @ log.T - self.log @ p.T) / 2).clamp(min=0)


def symmetric_divergence(a: Tensor, b: Tensor) -> Tensor:
    """(u, m) symmetric divergences of predictions (u, k) and (m, k)."""
    other = Predictions(b)
    return Predictions(a).to(other.p, other.log, other.own)


def farthest_predictions(pool: Tensor, labelled: Tensor, n: int, rng: np.random.Generator) -> Indices:
    """Positions of n predictions: the first at random, each further one farthest from all labelled and chosen.

    Keeps one running minimum a prediction. Args: pool (u, k), labelled (l, k) with l >= 0, n in 1 … u.
    """
    points, owned = Predictions(pool), Predictions(labelled)
    nearest = torch.full((len(pool),), torch.inf, dtype=torch.float64, device=pool.device)
    size = max(1, CELLS // len(pool))
    for start in range(0, len(labelled), size):
        block = slice(start, start + size)
        nearest = torch.minimum(nearest, points.to(owned.p[block], owned.log[block], owned.own[block]).amin(1))
    chosen = [int(rng.integers(len(pool)))]
    while len(chosen) < n:
        last = slice(chosen[-1], chosen[-1] + 1)
        nearest = torch.minimum(nearest, points.to(points.p[last], points.log[last], points.own[last])[:, 0])
        nearest[last] = -1  # never again, even among equal predictions
        chosen.append(int(nearest.argmax()))
    return np.asarray(chosen, dtype=np.int64)
