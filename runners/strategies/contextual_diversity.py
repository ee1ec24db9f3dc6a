"""Contextual diversity: k-center greedy over predictions (Agarwal et al. 2020, ECCV, arXiv 2008.05723; the core-set form)."""

from __future__ import annotations

from typing import ClassVar, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from protocol.draws.splits import Indices
from runners.strategies.base import Strategy
from runners.strategies.view import Need, View

FLOOR = 1e-7
"""Probabilities are lifted to this, so that certainty has a finite divergence."""
CELLS = 2**24
"""Divergences held at a time, 128 MiB."""


class ContextualDiversity(Strategy):
    """Buys images whose predicted class mixtures differ most from all that is labelled or chosen.

    The distance is the symmetric Kullback-Leibler divergence of the predictions (equation 3, with an image as
    its one region). As in the authors' code the first image is drawn at random. On segmentation, images or regions
    are compared class by class: by what their pixels of a predicted class are confused with (equation 1), summed over common classes.
    """

    needs: ClassVar[tuple[Need, ...]] = ("probabilities", "labelled_probabilities")
    paper = "Agarwal et al. 2020, arXiv 2008.05723"
    cost = "O((l + n) u k)"

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """The greedy sequence, in order."""
        return view.unlabelled[farthest_predictions(view.probabilities, view.labelled_probabilities, n, rng)]


class ContextualMixtures(Strategy):
    """Contextual diversity on segmentation: as `ContextualDiversity`, of the class-wise confusions of an image or a region.

    Of the pixels that are predicted to be of one class, the mean of the predictions weighted by their entropy is what that class is
    confused with there (equation 1). The distance of two images is the sum of the symmetric divergences of these mixtures over the
    classes predicted in both (equation 3; the authors' code divides it by the number of these classes). Images without a common class
    have none, so they are not sought.
    """

    needs: ClassVar[tuple[Need, ...]] = ("class_mixtures", "labelled_class_mixtures")
    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)
    paper = ContextualDiversity.paper
    cost = "O((l + n) u k^2), and O(k) a pixel"

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """The greedy sequence, in order."""
        return view.unlabelled[farthest(Mixtures(view.class_mixtures), Mixtures(view.labelled_class_mixtures), n, rng)]


class Points(Protocol):
    """Some of what divergences are taken between."""

    def __len__(self) -> int: ...

    def to(self, others: Self, rows: slice) -> Tensor:
        """(m, j) symmetric divergences, 1/2 KL(a || b) + 1/2 KL(b || a) in nats, >= 0, to the others at `rows`."""
        ...


P = TypeVar("P", bound=Points)


class Predictions:
    """Predictions (m, k) made ready for divergences: lifted to `FLOOR`, with their logarithms and negative entropies."""

    def __init__(self, probabilities: Tensor) -> None:
        lifted = probabilities.double().clamp(min=FLOOR)
        self.p = lifted / lifted.sum(1, keepdim=True)
        self.log = self.p.log()
        self.own = (self.p * self.log).sum(1)

    def __len__(self) -> int:
        return len(self.p)

    def to(self, others: Self, rows: slice) -> Tensor:
        """(m, j) divergences of predictions."""
        p, log, own = others.p[rows], others.log[rows], others.own[rows]
        return ((self.own[:, None] + own - self.p @ log.T - self.log @ p.T) / 2).clamp(min=0)


class Mixtures:
    """Class-wise mixtures (m, k, k), rows of zeros where a class is not predicted, made ready for sums of divergences over common classes."""

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
        """(m, j) sums over the classes that both have; 0 without any."""
        p, log, own, there = others.p[rows], others.log[rows], others.own[rows], others.there[rows]
        return ((self.own @ there.T + self.there @ own.T - self.p @ log.T - self.log @ p.T) / 2).clamp(min=0)


def symmetric_divergence(a: Tensor, b: Tensor) -> Tensor:
    """(u, m) symmetric divergences of predictions (u, k) and (m, k)."""
    return Predictions(a).to(Predictions(b), slice(None))


def farthest_predictions(pool: Tensor, labelled: Tensor, n: int, rng: np.random.Generator) -> Indices:
    """As `farthest`, of predictions (u, k) and (l, k)."""
    return farthest(Predictions(pool), Predictions(labelled), n, rng)


def farthest(points: P, owned: P, n: int, rng: np.random.Generator) -> Indices:
    """Positions of n points: the first at random, each further one farthest from all owned and chosen.

    Keeps one running minimum a point. Args: u points, l >= 0 owned, n in 1 … u.
    """
    nearest = torch.full((len(points),), torch.inf, dtype=torch.float64, device=points.to(points, slice(0, 0)).device)
    size = max(1, CELLS // len(points))
    for start in range(0, len(owned), size):
        nearest = torch.minimum(nearest, points.to(owned, slice(start, start + size)).amin(1))
    chosen = [int(rng.integers(len(points)))]
    while len(chosen) < n:
        last = slice(chosen[-1], chosen[-1] + 1)
        nearest = torch.minimum(nearest, points.to(points, last)[:, 0])
        nearest[last] = -1  # never again, even among equals
        chosen.append(int(nearest.argmax()))
    return np.asarray(chosen, dtype=np.int64)
