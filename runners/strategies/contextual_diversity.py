"""Contextual diversity, core-set form (Agarwal et al. 2020, arXiv 2008.05723).

It is k-center greedy over predictions.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from protocol.draws.splits import Indices
from runners.strategies.base import Strategy
from runners.strategies.view import Need, View

FLOOR = 1e-7
"""Smallest probability used, so that certain predictions have finite divergences."""
CELLS = 2**24
"""Largest number of divergences held at once (128 MiB)."""


class ContextualDiversity(Strategy):
    """Select images whose predictions differ most from those of all labelled and chosen images.

    The distance is the symmetric Kullback-Leibler divergence of the predictions (equation 3, with an image as its only
    region). As in the authors' code, the first image is drawn at random. For segmentation, images or regions are
    compared class by class: by the classes that their pixels of a predicted class are confused with (equation 1),
    summed over common classes.
    """

    needs: ClassVar[tuple[Need, ...]] = ("probabilities", "labelled_probabilities")
    paper = "Agarwal et al. 2020, arXiv 2008.05723"
    cost = "O((l + n) u k)"

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the greedy sequence, in order."""
        return view.unlabelled[farthest_predictions(view.probabilities, view.labelled_probabilities, n, rng)]


class ContextualMixtures(Strategy):
    """Contextual diversity for segmentation: compare images or regions by their class-wise confusions.

    The confusion of a class is the mean of the predictions of all pixels predicted as that class, weighted by their
    entropy (equation 1). The distance of two images is the sum of the symmetric divergences of these mixtures over the
    classes predicted in both (equation 3; the authors' code divides it by the number of these classes). Images without
    a common class have distance 0.
    """

    needs: ClassVar[tuple[Need, ...]] = ("class_mixtures", "labelled_class_mixtures")
    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)
    paper = ContextualDiversity.paper
    cost = "O((l + n) u k^2), and O(k) per pixel"

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the greedy sequence, in order."""
        return view.unlabelled[farthest(Mixtures(view.class_mixtures), Mixtures(view.labelled_class_mixtures), n, rng)]


class Points(Protocol):
    """Items between which divergences can be computed."""

    def __len__(self) -> int: ...

    def to(self, others: Self, rows: slice) -> Tensor:
        """Return symmetric divergences to the others at `rows`, shape (m, j).

        A divergence is 1/2 KL(a || b) + 1/2 KL(b || a) in nats, >= 0.
        """
        ...


P = TypeVar("P", bound=Points)


class Predictions:
    """Predictions, shape (m, k), clipped to `FLOOR`, with their logarithms and negative entropies."""

    def __init__(self, probabilities: Tensor) -> None:
        lifted = probabilities.double().clamp(min=FLOOR)
        self.p = lifted / lifted.sum(1, keepdim=True)
        self.log = self.p.log()
        self.own = (self.p * self.log).sum(1)

    def __len__(self) -> int:
        return len(self.p)

    def to(self, others: Self, rows: slice) -> Tensor:
        """Return divergences of predictions, shape (m, j)."""
        p, log, own = others.p[rows], others.log[rows], others.own[rows]
        return ((self.own[:, None] + own - self.p @ log.T - self.log @ p.T) / 2).clamp(min=0)


class Mixtures:
    """Class-wise mixtures, shape (m, k, k), clipped to `FLOOR`.

    A class that is not predicted has a row of zeros.
    """

    def __init__(self, mixtures: Tensor) -> None:
        there = mixtures.sum(2) > 0
        lifted = mixtures.double().clamp(min=FLOOR)
        p = lifted / lifted.sum(2, keepdim=True)
        p, log = (torch.where(there[:, :, None], values, 0.0) for values in (p, p.log()))
        self.there = there.double()
        self.own = (p * log).sum(2)
        self.p, self.log = p.flatten(1), log.flatten(1)

    def __len__(self) -> int:
        return len(self.p)

    def to(self, others: Self, rows: slice) -> Tensor:
        """Return sums of divergences over the common classes, shape (m, j); 0 without a common class."""
        p, log, own, there = others.p[rows], others.log[rows], others.own[rows], others.there[rows]
        return ((self.own @ there.T + self.there @ own.T - self.p @ log.T - self.log @ p.T) / 2).clamp(min=0)


def farthest_predictions(pool: Tensor, labelled: Tensor, n: int, rng: np.random.Generator) -> Indices:
    """Return `farthest` of predictions of the pool, shape (u, k), from labelled ones, shape (l, k)."""
    return farthest(Predictions(pool), Predictions(labelled), n, rng)


def farthest(points: P, labelled: P, n: int, rng: np.random.Generator) -> Indices:
    """Return positions of n points by farthest-first search.

    The first is drawn at random; each next one is farthest from all labelled and chosen ones.

    Keeps one running minimum per point.

    Args:
        points: u candidates.
        labelled: l >= 0 labelled items.
        n: number of points, in 1 ... u.
        rng: generator for the first point.
    """
    nearest = torch.full((len(points),), torch.inf, dtype=torch.float64, device=points.to(points, slice(0, 0)).device)
    size = max(1, CELLS // len(points))
    for start in range(0, len(labelled), size):
        nearest = torch.minimum(nearest, points.to(labelled, slice(start, start + size)).amin(1))
    chosen = [int(rng.integers(len(points)))]
    while len(chosen) < n:
        last = slice(chosen[-1], chosen[-1] + 1)
        nearest = torch.minimum(nearest, points.to(points, last)[:, 0])
        nearest[last] = -1  # never chosen again, even if all are equal
        chosen.append(int(nearest.argmax()))
    return np.asarray(chosen, dtype=np.int64)
