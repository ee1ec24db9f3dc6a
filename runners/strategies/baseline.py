"""Random: what every other strategy is measured against."""

from __future__ import annotations

import numpy as np

from protocol.splits import Indices
from runners.strategies.base import Strategy
from runners.strategies.view import View


class Random(Strategy):
    """Uniform, without replacement, from the unlabelled pool."""

    cost = "O(u)"
    cold_start = True

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """n distinct unlabelled indices, every subset equally likely."""
        return rng.choice(view.unlabelled, n, replace=False)
