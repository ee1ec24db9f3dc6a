"""Facility location and MaxHerding: images that represent the pool best.

Sources: Wei, Iyer & Bilmes (2015, ICML); Bae, Noh & Sutherland (2024, arXiv 2407.12212). Both select the images that
represent the pool best: they maximise f(S), the sum over pool images x of the maximum over s in S of k(x, s), where S
are the labelled and chosen images. f is monotone and submodular, so the greedy choice reaches at least 1 - 1/e of the
best gain (Nemhauser, Wolsey & Fisher 1978).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from runners.strategies.base import Strategy
from runners.strategies.view import Need, View

Kernel = Callable[[Tensor, Tensor], Tensor]
"""Function of points (m, d) and (u, d) that returns similarities (m, u), >= 0."""
CELLS = 2**24
"""Largest number of similarities held at once (64 MiB)."""
REFRESHED = 32
"""Number of old gains updated together, by one matrix product."""


class FacilityLocation(Strategy):
    """Select, one by one, the image that improves the representation of the pool most.

    Similarity is (1 + cosine) / 2, in [0, 1].
    """

    needs: ClassVar[tuple[Need, ...]] = ("embeddings", "labelled_embeddings")
    paper = "Wei, Iyer & Bilmes 2015"
    cost = "O(u² d)"
    cold_start = True
    order_free = True

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the greedy sequence, in order; break ties of the gain at random."""
        shuffled = rng.permutation(len(view.unlabelled))
        points, centres = (
            F.normalize(view.embeddings.float(), dim=1)[shuffled],
            F.normalize(view.labelled_embeddings.float(), dim=1),
        )
        return view.unlabelled[shuffled[lazy_greedy(points, centres, n, self.kernel)]]

    def kernel(self, a: Tensor, b: Tensor) -> Tensor:
        """Return (1 + cosine) / 2 of unit vectors."""
        return ((1 + a @ b.T) / 2).clamp_(0, 1)


class MaxHerding(FacilityLocation):
    """Select by greedy generalised coverage: facility location with a Gaussian kernel.

    The kernel is exp(-‖x - s‖² / sigma²) on unit vectors.

    Args:
        sigma: width of the kernel, > 0.
    """

    paper = "Bae, Noh & Sutherland 2024, arXiv 2407.12212"

    def __init__(self, sigma: float = 1.0) -> None:
        if not sigma > 0:
            raise InputError(Fault("max-herding: sigma", "a number > 0", str(sigma)))
        self.sigma = sigma

    def kernel(self, a: Tensor, b: Tensor) -> Tensor:
        """Return exp(-‖a - b‖² / sigma²), in (0, 1]; ‖a - b‖² = 2 - 2 a·b for unit vectors."""
        return (a @ b.T).clamp_(-1, 1).sub_(1).mul_(2 / self.sigma**2).exp_()


def lazy_greedy(points: Tensor, centres: Tensor, n: int, kernel: Kernel) -> Indices:
    """Return positions of n points by exact greedy maximisation of f; of equals the first.

    Gains only fall, so an old gain bounds the current one. Only points whose bound exceeds the best current gain are
    computed again (Minoux 1978). Similarities are never kept: memory is O(u).

    Args:
        points: candidates, shape (u, d).
        centres: labelled points, shape (l, d), l >= 0.
        n: number of points, in 1 ... u.
        kernel: similarity of two sets of points.
    """
    covered = torch.zeros(len(points), device=points.device)
    for block in torch.split(centres, max(1, CELLS // len(points))):
        covered = torch.maximum(covered, kernel(block, points).amax(0)) if len(block) else covered
    bound = torch.cat(
        [
            _gains(points[start : start + _rows(points)], points, covered, kernel)
            for start in range(0, len(points), _rows(points))
        ]
    )
    chosen: list[int] = []
    while len(chosen) < n:
        pick = _best(points, covered, bound, kernel)
        chosen.append(pick)
        bound[pick] = -torch.inf
        covered = torch.maximum(covered, kernel(points[pick : pick + 1], points)[0])
    return np.asarray(chosen, dtype=np.int64)


def _rows(points: Tensor) -> int:
    return max(1, CELLS // len(points))


def _gains(candidates: Tensor, points: Tensor, covered: Tensor, kernel: Kernel) -> Tensor:
    return (kernel(candidates, points) - covered).clamp_(min=0).sum(1, dtype=torch.float64)


def _best(points: Tensor, covered: Tensor, bound: Tensor, kernel: Kernel) -> int:
    """Return the point with the largest current gain; replace the bounds visited by current gains."""
    fresh = torch.zeros(len(bound), dtype=torch.bool, device=bound.device)
    while True:
        first = int(bound.argmax())
        if fresh[first] or bound[first] == 0:
            return first
        stale = bound.masked_fill(fresh, -torch.inf).topk(min(REFRESHED, len(bound))).indices
        stale = stale[(~fresh[stale]) & bound[stale].isfinite()]
        bound[stale] = torch.minimum(bound[stale], _gains(points[stale], points, covered, kernel))
        fresh[stale] = True
