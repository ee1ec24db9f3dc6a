"""Simulate differences with a known truth: AR(.8) along ten budgets, seeds shared in pairs."""

from __future__ import annotations

from typing import Final

import numpy as np

from analysis.statistics.area import aubc
from analysis.statistics.arrays import Floats
from analysis.verdict.pairing import Paired

BUDGETS: Final = np.array([100, 200, 300, 500, 800, 1200, 2000, 3000, 5000, 8000], dtype=np.float64)
SHARED: Final = 0.5
"""Share of a curve's variance that belongs to the seed and cancels in pairs."""


def curves(n: int, strategies: int, rng: np.random.Generator) -> Floats:
    """Draw curves of equally good strategies, shape (strategies, n, T), with unit variance."""
    drawn: Floats = np.sqrt(SHARED) * noise((1, n), rng) + np.sqrt(1 - SHARED) * noise((strategies, n), rng)
    return drawn


def differences(n: int, rng: np.random.Generator) -> Floats:
    """Draw paired difference curves without an effect, shape (n, T)."""
    ours, theirs = curves(n, 2, rng)
    paired: Floats = ours - theirs
    return paired


def noise(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Draw stationary AR(.8) noise with unit variance, shape (*shape, T)."""
    x = rng.normal(size=(*shape, len(BUDGETS)))
    for t in range(1, len(BUDGETS)):
        x[..., t] = 0.8 * x[..., t - 1] + 0.6 * x[..., t]
    return x


def area_sd() -> float:
    """Return the true standard deviation of a paired difference in AUBC."""
    lag = np.abs(np.subtract.outer(np.arange(len(BUDGETS)), np.arange(len(BUDGETS))))
    weights = aubc(BUDGETS, np.eye(len(BUDGETS)))
    return float(np.sqrt(2 * (1 - SHARED) * weights @ 0.8**lag @ weights))


def family(n: int, strategies: int, datasets: int, shift: float, rng: np.random.Generator) -> list[Paired]:
    """Draw AUBCs of strategies that are truly `shift` above a shared baseline, per data set."""
    pairs = []
    for dataset in range(datasets):
        base, *others = aubc(BUDGETS, curves(n, strategies + 1, rng))
        pairs += [Paired(f"d{dataset}", f"s{i}", tuple(range(n)), own + shift, base) for i, own in enumerate(others)]
    return pairs
