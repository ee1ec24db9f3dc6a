"""Core-set: k-center greedy (Sener & Savarese 2018, arXiv 1708.00489, Algorithm 1)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from protocol.splits import Indices
from runners.strategies.base import Strategy
from runners.strategies.view import Need, View

BLOCK = 4096


class CoreSet(Strategy):
    """Buys, one by one, the image farthest (Euclidean, in embedding space) from all that is labelled or chosen."""

    needs: ClassVar[tuple[Need, ...]] = ("embeddings", "labelled_embeddings")
    paper = "Sener & Savarese 2018, arXiv 1708.00489"
    cost = "O((l + n) u d)"

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """The greedy sequence, in order; with nothing labelled the first centre is drawn at random."""
        positions = k_center_greedy(view.embeddings, view.labelled_embeddings, n, rng)
        return view.unlabelled[positions]


def k_center_greedy(points: Tensor, centres: Tensor, n: int, rng: np.random.Generator) -> Indices:
    """Positions of n points, each the farthest from all centres so far; the first of equals.

    Keeps one running minimum a point: O(u) memory beyond the points, never an N x N matrix.

    Args:
        points: (u, d); centres: (l, d), l >= 0; n: 1 … u.
    """
    points = points.float()
    nearest = torch.full((len(points),), torch.inf, device=points.device)
    for block in torch.split(centres.float(), BLOCK):
        nearest = torch.minimum(nearest, torch.cdist(points, block).amin(1))
    chosen: list[int] = []
    if not len(centres):
        chosen.append(int(rng.integers(len(points))))
        nearest = torch.linalg.vector_norm(points - points[chosen[-1]], dim=1)
        nearest[chosen[-1]] = -1
    while len(chosen) < n:
        pick = int(nearest.argmax())
        chosen.append(pick)
        nearest = torch.minimum(nearest, torch.linalg.vector_norm(points - points[pick], dim=1))
        nearest[pick] = -1  # never again, even among equal points
    return np.asarray(chosen, dtype=np.int64)
