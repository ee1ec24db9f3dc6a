"""ProbCover: greedy maximum coverage by balls of radius δ.

Source: Yehuda et al. (2022, arXiv 2205.11320, Algorithm 1). An image covers all images closer than δ. The number of
images that it newly covers only shrinks as others are chosen, so an old count is an upper bound. The count of images
that are close in fewer dimensions is an upper bound, too. Only the largest bounds are updated. No graph of neighbours
is kept.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from runners.strategies.base import Strategy
from runners.strategies.support.k_means import k_means
from runners.strategies.view import Need, View

_DIMENSIONS: Final = 48
_ROWS: Final = 32
_BLOCK: Final = 2**22
"""Number of distances held at once (16 MiB)."""
_PROBES: Final = 1000
"""Number of images from which the purity of balls is estimated."""
_LEARNED_FROM: Final = 10_000
"""Largest number of images to cluster for this estimate."""


class ProbCover(Strategy):
    """Select, one by one, the image whose ball of radius δ covers the most images not covered yet.

    Once everything is covered, the rest is drawn at random. Balls of labelled images count as covered from the start.
    The authors' radii are for unit vectors of a self-supervised encoder that is never fine-tuned: to reproduce them,
    use a pretrained regime with a probe, and set `normalize`.

    Args:
        delta: radius in embedding space. 0: the largest radius at which a share `purity` of all balls hold images of a
            single k-means cluster (with one cluster per class), estimated from 1,000 images.
        purity: share of pure balls, in (0, 1).
        normalize: whether to scale embeddings to unit length first, as the authors' code does.
    """

    needs: ClassVar[tuple[Need, ...]] = ("embeddings", "labelled_embeddings")
    paper = "Yehuda et al. 2022, arXiv 2205.11320"
    cost = "O(u² d') for the first bounds, d' = 48 dimensions; then O(u d) for each image refreshed"
    cold_start = True

    def __init__(self, delta: float = 0.0, purity: float = 0.95, normalize: bool = False) -> None:
        faults = [] if delta >= 0 else [Fault("strategy argument delta", "at least 0", str(delta))]
        if not 0 < purity < 1:
            faults.append(Fault("strategy argument purity", "between 0 and 1", str(purity)))
        if faults:
            raise InputError(faults)
        self.delta, self.purity, self.normalize = delta, purity, normalize

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the greedy sequence, in order, then random images up to n."""
        pool, labelled = (
            F.normalize(x.float(), dim=1) if self.normalize else x for x in (view.embeddings, view.labelled_embeddings)
        )
        delta = self.delta or radius(torch.cat([pool, labelled]), view.classes, self.purity, rng)
        chosen = max_cover(pool, labelled, n, delta)
        rest = np.setdiff1d(np.arange(len(view.unlabelled)), chosen)
        filled: Indices = np.concatenate([chosen, rng.choice(rest, n - len(chosen), replace=False)])
        return view.unlabelled[filled]


def radius(points: Tensor, classes: int, purity: float, rng: np.random.Generator) -> float:
    """Estimate the largest radius at which a share `purity` of balls are pure.

    This is the 1 - purity quantile of the distance to the nearest image of another k-means cluster; 0 with a single
    cluster.
    """
    seen = torch.from_numpy(rng.permutation(len(points))[:_LEARNED_FROM]).to(points.device)
    x = _centred(points)
    learned = torch.from_numpy(k_means(x[seen], min(classes, len(seen)), rng)).to(points.device)
    middles = torch.stack([x[seen[learned == c]].mean(0) for c in torch.unique(learned)])
    cluster = _squared(x, middles).argmin(1)
    nearest = []
    for rows in seen[:_PROBES].split(max(1, _BLOCK // len(x))):  # type: ignore[no-untyped-call]
        nearest.append(_squared(x[rows], x).masked_fill(cluster[rows][:, None] == cluster, torch.inf).amin(1))
    squared = torch.cat(nearest)
    return float(squared.clamp(min=0).sqrt().quantile(1 - purity)) if bool(squared.isfinite().all()) else 0.0


def max_cover(points: Tensor, labelled: Tensor, n: int, delta: float) -> Indices:
    """Return positions of at most n points, chosen greedily; of equals the first.

    Args:
        points: candidates, shape (u, d).
        labelled: points whose balls are covered already, shape (l, d).
        n: largest number of points; fewer are returned once everything is covered.
        delta: radius; distances are computed in float32 after centring on the mean.
    """
    x = _centred(torch.cat([points, labelled]))
    x, centres = x[: len(points)], x[len(points) :]
    open_ = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for rows in centres.split(max(1, _BLOCK // len(x))):  # type: ignore[no-untyped-call]
        open_ &= ~(_squared(rows, x) < delta**2).any(0)
    columns = open_.nonzero()[:, 0]
    bound = _bounds(x, columns, delta)
    fresh = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    chosen: list[int] = []
    while len(chosen) < n:
        best = bound.max()
        if int(best) <= 0:
            break
        at = (bound == best).nonzero()[:, 0]
        if bool(fresh[at].all()):
            pick = int(at[0])
            chosen.append(pick)
            columns = columns[_squared(x[pick : pick + 1], x[columns])[0] >= delta**2]
            fresh[:] = False
            continue
        stale = bound.masked_fill(fresh, -1).topk(min(_ROWS, len(x))).indices
        bound[stale] = (_squared(x[stale], x[columns]) < delta**2).sum(1)
        fresh[stale] = True
    return np.asarray(chosen, dtype=np.int64)


def _bounds(x: Tensor, columns: Tensor, delta: float) -> Tensor:
    """Return upper bounds of the number of columns within delta, shape (u,).

    Distances are computed in the leading dimensions and the length of the rest.
    """
    if not len(columns):
        return torch.zeros(len(x), dtype=torch.int64, device=x.device)
    small = x
    if x.shape[1] > _DIMENSIONS + 1:
        leading = torch.linalg.eigh(x.T @ x).eigenvectors[:, -_DIMENSIONS:]
        kept = x @ leading
        rest = (x.square().sum(1) - kept.square().sum(1)).clamp(min=0).sqrt()
        small = torch.cat([kept, rest[:, None]], 1)
    slack = 1e-4 * float(x.square().sum(1).max())  # above every rounding error of the projection
    out = [
        (_squared(rows, small[columns]) < delta**2 + slack).sum(1)
        for rows in small.split(max(1, _BLOCK // len(columns)))  # type: ignore[no-untyped-call]
    ]
    return torch.cat(out)


def _centred(points: Tensor) -> Tensor:
    x = points.float()
    return x - x.mean(0)


def _squared(a: Tensor, b: Tensor) -> Tensor:
    """Return squared distances, shape (a, b), float32."""
    return torch.addmm(b.square().sum(1), a, b.T, alpha=-2).add_(a.square().sum(1)[:, None])
