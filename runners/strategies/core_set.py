"""Core-set: k-center greedy (Sener & Savarese 2018, arXiv 1708.00489, Algorithm 1), exact and lazy.

The distance of a point to its nearest centre only shrinks as centres are added, so an old distance is an upper bound. Only
the `front`, the points with the largest bounds, is kept up to date; a pick is final when it is above the bound of all that
lies behind. Float32 products screen, float64 differences decide.
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
"""A block of distances: 64 MiB."""
_FIRST: Final = 256
"""Labelled centres that the first bounds are taken from; the others are compared with what reaches the front alone."""
_FEW: Final = 32
"""Centres compared first: where a point lies on one of them, the rest need not be looked at."""
_PAIRS: Final = 2**21
"""Coordinates of near pairs that are decided in float64 at once (16 MiB)."""


class CoreSet(Strategy):
    """Buys, one by one, the image farthest (Euclidean, in embedding space) from all that is labelled or chosen."""

    order_free = True
    cold_start = True
    needs: ClassVar[tuple[Need, ...]] = ("embeddings", "labelled_embeddings")
    paper = "Sener & Savarese 2018, arXiv 1708.00489"
    cost = "O(l u d) once; lazily, each pick refreshes few images"

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """The greedy sequence, in order; with nothing labelled the first centre is drawn at random."""
        positions = k_center_greedy(view.embeddings, view.labelled_embeddings, n, rng)
        return view.unlabelled[positions]


def k_center_greedy(points: Tensor, centres: Tensor, n: int, rng: np.random.Generator) -> Indices:
    """Positions of n points, each the farthest from all centres so far; of equals the first.

    Takes O(u + (l + n) d) memory beyond the points, and blocks of 64 MiB; never an N x N matrix.

    Args:
        points: (u, d); centres: (l, d), l >= 0; n: 1 … u.
    """
    search = _Search(points, centres, n)
    if not len(centres):
        search.choose(int(rng.integers(len(points))))
    while search.count < n:
        search.choose(search.farthest())
    return search.chosen


class _Search:
    """Centres so far, and for every point an upper bound of the squared distance to the nearest of them.

    Attributes:
        bound: (u,) float64, squared; -inf for chosen points.
        seen: (u,) number of centres that a bound is exact for; 0: it is a screened one, above the exact one by a slack.
        front: (f,) positions, ascending, of the points that are kept up to date.
        exact: (f,) float64 their squared distances to the nearest of all centres, which supersede their bounds.
        behind: the largest bound outside the front.
    """

    def __init__(self, points: Tensor, centres: Tensor, n: int) -> None:
        device, width, known = points.device, points.shape[1], len(centres)
        self.points = points
        # Float32 cancels the more, the farther the points lie from the origin: so all are seen from their mean.
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
        """Make a point a centre, and bring the front up to date."""
        self.chosen[self.count] = position
        self.count += 1
        self.raw[self.known] = self.points[position]
        self._add(1)
        self.bound[position] = -torch.inf
        self.exact[self.front == position] = -torch.inf
        self._decide(self.front, self.x, self.exact, self.known - 1)

    def farthest(self) -> int:
        """The point with the largest exact distance, the first of equals."""
        size = _FRONT
        while True:
            if len(self.front):
                best = self.exact.max()
                if float(best) > self.behind:
                    return int(self.front[(self.exact == best).nonzero()[0]])
            self._advance(min(size, len(self.bound)))
            size *= 2  # too many points nearly alike: the next front is wider

    def _advance(self, size: int) -> None:
        """Make the `size` points with the largest bounds the front, and bring them up to date."""
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
        while newest > 0:  # those last seen longest ago are compared with most; steps of two keep the groups few
            oldest = max(0, self.known - 2 * (self.known - newest) - _FEW)
            part = ((seen < newest) & (seen >= oldest)).nonzero()[:, 0]
            if len(part):
                exact = self.exact[part]
                self._decide(self.front[part], self.x[part], exact, oldest)
                self.exact[part] = exact
            newest = oldest

    def _decide(self, rows: Tensor, x: Tensor, exact: Tensor, since: int) -> None:
        """Lower `exact` to the distances from centres `since` on: screened in float32, what could matter measured in float64."""
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
        """(b, c) float32 squared distances to centres start … stop-1, and (b,) float64 bounds of their errors."""
        squares, theirs = x.square().sum(1), self.squares[start:stop]
        distances = torch.addmm(theirs, x, self.centres[start:stop].T, alpha=-2).add_(squares[:, None])
        worst = (squares.double().sqrt() + theirs.double().max().sqrt()).square()
        return distances, (x.shape[1] + 16) * 2**-24 * worst

    def _add(self, count: int) -> None:
        """Take the next `count` raw centres into account."""
        new = slice(self.known, self.known + count)
        self.centres[new] = self._centred(self.raw[new])
        self.squares[new] = self.centres[new].square().sum(1)
        self.known += count

    def _centred(self, rows: Tensor) -> Tensor:
        return (rows.to(self.middle.dtype) - self.middle).float()
