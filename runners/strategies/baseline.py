"""Random selection, the baseline of every comparison, and a class-balanced form of it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from protocol.draws.splits import Indices
from runners.strategies.base import Strategy
from runners.strategies.view import Need, View


class Random(Strategy):
    """Draw uniformly without replacement from the unlabelled pool."""

    cost = "O(u)"
    cold_start = True

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return n distinct unlabelled indices; every subset is equally likely."""
        return rng.choice(view.unlabelled, n, replace=False)


class BalancedRandom(Strategy):
    """Draw at random, with equal numbers from each predicted class as far as possible.

    An extra baseline: it shows what a strategy gains beyond balancing the classes.
    """

    needs: ClassVar[tuple[Need, ...]] = ("probabilities",)
    paper = "baseline of this project"
    cost = "O(u k)"

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return images of the predicted classes in turn, with classes and images in random order."""
        predicted = view.probabilities.argmax(1).cpu().numpy()
        order = rng.permutation(len(predicted))
        grouped = order[np.argsort(predicted[order], kind="stable")]
        sizes = np.bincount(predicted, minlength=view.classes)
        turn = np.empty(len(predicted), np.int64)  # number of images of the same class that come before
        turn[grouped] = np.arange(len(predicted)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        shuffled = rng.permutation(len(predicted))
        return view.unlabelled[shuffled[np.argsort(turn[shuffled], kind="stable")][:n]]
