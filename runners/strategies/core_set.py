"""Core-set: k-center greedy (Sener & Savarese 2018, arXiv 1708.00489, Algorithm 1), exact and lazy.

The distance of a point to its nearest centre only shrinks as centres are added, so an old distance is an upper bound.
Only the `front`, the points with the largest bounds, is kept up to date. A pick is final when its distance exceeds the
bounds of all points outside the front. Products in float32 screen; differences in float64 decide.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
import torch
from torch import Tensor

from protocol.draws.splits import Indices
from runners.strategies.base import Strategy
from runners.strategies.view import Need, View

_FRONT: Final = 512
_ROWS: Final = 8192
_CENTRES: Final = 2048
"""Centres per block of distances (64 MiB)."""
_FIRST: Final = 256
"""Labelled centres that give the first bounds; the others are compared with points of the front only."""
_FEW: Final = 32
"""Centres compared first: a point that coincides with one of them needs no further comparison."""
_PAIRS: Final = 2**21
"""Coordinates of near pairs compared in float64 at once (16 MiB)."""


class CoreSet(Strategy):
    """Select, one by one, the image farthest from all labelled and chosen images.

    Distances are Euclidean, in embedding space.
    """

    order_free = True
    cold_start = True
    needs: ClassVar[tuple[Need, ...]] = ("embeddings", "labelled_embeddings")
    paper = "Sener & Savarese 2018, arXiv 1708.00489"
    cost = "O(l u d) once; lazily, each pick refreshes few images"

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the greedy sequence, in order; with nothing labelled the first image is drawn at random."""
        positions = k_center_greedy(view.embeddings, view.labelled_embeddings, n, rng)
        return view.unlabelled[positions]


def k_center_greedy(points: Tensor, centres: Tensor, n: int, rng: np.random.Generator) -> Indices:
    """Return positions of n points, each the farthest from all centres so far; of equals the first.

    Takes O(u + (l + n) d) memory besides the points, and blocks of 64 MiB; never an N x N matrix.

    Args:
        points: candidates, shape (u, d).
        centres: centres to start from, shape (l, d), l >= 0.
        n: number of points, in 1 ... u.
        rng: generator for the first point if there are no centres.
    """
    search = _Search(points, centres, n)
    if not len(centres):
        search.choose(int(rng.integers(len(points))))
    while search.count < n:
        search.choose(search.farthest())
    return search.chosen


class _Search:
    """Centres so far, and an upper bound of each point's squared distance to the nearest of them.

    Attributes:
        bound: bounds of squared distances, (u,) float64; -inf for chosen points.
        seen: number of centres for which a bound is exact, (u,); 0: a screened bound, above the exact one by a slack.
        front: positions of the points that are kept up to date, (f,), ascending.
        exact: their squared distances to the nearest of all centres, (f,) float64, which replace their bounds.
        behind: largest bound outside the front.
    """

    def __init__(self, points: Tensor, centres: Tensor, n: int) -> None:
        device, width, known = points.device, points.shape[1], len(centres)
        self.points = points
        # Cancellation in float32 grows with the distance from the origin, so the points are centred on their mean.
        self.middle = points.mean(0, dtype=torch.promote_types(points.dtype, torch.float32))
        self.raw = torch.cat([centres.to(points.dtype), points.new_empty(n, width)])
        self.centres = torch.empty(known + n, width, device=device)
        self.squares = torch.empty(known + n, device=device)
        self.known = 0
        self._add(known)
        self.chosen = np.empty(n, np.int64)
        self.count = 0
        self.bound = torch.full((len(points),), torch.inf, dtype=torch.float64, device=device)
        self.seen = torch.zeros(len(points), dtype=torch.int64, device=device)
        for rows in torch.arange(len(points), device=device).split(_ROWS) if known else ():  # type: ignore[no-untyped-call]
            x = self._centred(points[rows])
            distances, slack = self._screened(x, 0, min(_FIRST, known))
            self.bound[rows] = distances.amin(1).double() + slack
        self.front = torch.empty(0, dtype=torch.int64, device=device)
        self.exact = self.bound[self.front]
        self.x = self.centres[:0]
        self.behind = torch.inf

    def choose(self, position: int) -> None:
        """Make a point a centre and update the front."""
        self.chosen[self.count] = position
        self.count += 1
        self.raw[self.known] = self.points[position]
        self._add(1)
        self.bound[position] = -torch.inf
        self.exact[self.front == position] = -torch.inf
        self._decide(self.front, self.x, self.exact, self.known - 1)

    def farthest(self) -> int:
        """Return the point with the largest exact distance; of equals the first."""
        size = _FRONT
        while True:
            if len(self.front):
                best = self.exact.max()
                if float(best) > self.behind:
                    return int(self.front[(self.exact == best).nonzero()[0]])
            self._advance(min(size, len(self.bound)))
            size *= 2  # too many points are nearly alike: widen the next front

    def _advance(self, size: int) -> None:
        """Make the `size` points with the largest bounds the front, and update their distances."""
        self.bound[self.front] = self.exact
        self.seen[self.front] = self.known
        values, order = self.bound.topk(min(size + 1, len(self.bound)))
        self.behind = float(values[size]) if size < len(values) else -torch.inf
        self.front = order[:size].sort().values
        self.x = self._centred(self.points[self.front])
        seen = self.seen[self.front]
        self.exact = torch.where(seen > 0, self.bound[self.front], torch.inf)
        self.exact[self.bound[self.front] == -torch.inf] = -torch.inf
        newest = self.known
        while newest > 0:  # points updated longest ago are compared with most centres; steps of two keep the groups few
            oldest = max(0, self.known - 2 * (self.known - newest) - _FEW)
            part = ((seen < newest) & (seen >= oldest)).nonzero()[:, 0]
            if len(part):
                exact = self.exact[part]
                self._decide(self.front[part], self.x[part], exact, oldest)
                self.exact[part] = exact
            newest = oldest

    def _decide(self, rows: Tensor, x: Tensor, exact: Tensor, since: int) -> None:
        """Lower `exact` to the distances from centres `since` on.

        Screen in float32, and measure near pairs in float64.
        """
        step = _FEW
        while since < self.known:
            stop = min(since + step, self.known)
            distances, slack = self._screened(x, since, stop)
            limit = torch.minimum(exact, distances.amin(1).double() + slack)
            near = (distances <= (limit + slack).float()[:, None] * (1 + 2**-20)) & (exact > 0)[:, None]
            for at in near.nonzero().split(max(1, _PAIRS // x.shape[1])):  # type: ignore[no-untyped-call]
                difference = self.points[rows[at[:, 0]]].double() - self.raw[since + at[:, 1]].double()
                exact.scatter_reduce_(0, at[:, 0], difference.square().sum(1), "amin")
            since, step = stop, _CENTRES

    def _screened(self, x: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return squared distances to centres start ... stop-1 and their error bounds.

        Distances are float32, (b, c), and bounds float64, (b,).
        """
        squares, theirs = x.square().sum(1), self.squares[start:stop]
        distances = torch.addmm(theirs, x, self.centres[start:stop].T, alpha=-2).add_(squares[:, None])
        worst = (squares.double().sqrt() + theirs.double().max().sqrt()).square()
        return distances, (x.shape[1] + 16) * 2**-24 * worst

    def _add(self, count: int) -> None:
        """Prepare the next `count` raw centres for comparisons."""
        new = slice(self.known, self.known + count)
        self.centres[new] = self._centred(self.raw[new])
        self.squares[new] = self.centres[new].square().sum(1)
        self.known += count

    def _centred(self, rows: Tensor) -> Tensor:
        return (rows.to(self.middle.dtype) - self.middle).float()
