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
BLOCK = 4096


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


def symmetric_divergence(a: Tensor, b: Tensor) -> Tensor:
    """(u, m) values 1/2 KL(a_i || b_j) + 1/2 KL(b_j || a_i) in nats, >= 0, of predictions (u, k) and (m, k)."""
    a, b = (normal / normal.sum(1, keepdim=True) for normal in (a.double().clamp(min=FLOOR), b.double().clamp(min=FLOOR)))
    log_a, log_b = a.log(), b.log()
    own = (a * log_a).sum(1)[:, None] + (b * log_b).sum(1)
    return ((own - a @ log_b.T - log_a @ b.T) / 2).clamp(min=0)


def farthest_predictions(pool: Tensor, labelled: Tensor, n: int, rng: np.random.Generator) -> Indices:
    """Positions of n predictions: the first at random, each further one farthest from all labelled and chosen.

    Keeps one running minimum a prediction. Args: pool (u, k), labelled (l, k) with l >= 0, n in 1 … u.
    """
    nearest = torch.full((len(pool),), torch.inf, dtype=torch.float64, device=pool.device)
    for block in torch.split(labelled, max(1, BLOCK * BLOCK // max(1, len(pool)))):
        nearest = torch.minimum(nearest, symmetric_divergence(pool, block).amin(1)) if len(block) else nearest
    chosen = [int(rng.integers(len(pool)))]
    nearest[chosen[0]] = -1
    while len(chosen) < n:
        nearest = torch.minimum(nearest, symmetric_divergence(pool, pool[chosen[-1:]])[:, 0])
        nearest[chosen] = -1  # never again, even among equal predictions
        chosen.append(int(nearest.argmax()))
    return np.asarray(chosen, dtype=np.int64)
