"""Whole curves at once: at which budgets does a strategy differ, and does it anywhere? Westfall-Young max-T by sign flips.

Under "no difference at any budget", the sign of each seed's whole difference curve is a coin: flipping all its
budgets together keeps their correlation, which testing each budget for itself throws away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.arrays import Floats
from analysis.statistics.hypothesis_tests import ENUMERATED, half_sign_patterns, random_bits, smallest_p
from analysis.statistics.intervals import spread

FLIPS = 20_000
"""Monte Carlo sign patterns beyond 16 seeds."""
CHUNK = 2_000


@dataclass(frozen=True)
class MaxT:
    """A whole-curve test of n seeds over T budgets.

    Attributes:
        t: Student's t at each budget, shape (T,); infinite at zero spread.
        p: two-sided, of no difference at any budget.
        p_adjusted: step-down, at each budget, shape (T,); reject where <= alpha with family-wise error alpha over budgets.
        smallest_p: 2^(1-n), or of the simulation.
        standard_error: Monte Carlo standard error of p; 0 if enumerated.
    """

    n: int
    t: Floats
    p: float
    p_adjusted: Floats
    smallest_p: float
    standard_error: float = 0.0


def max_t(differences: ArrayLike, rng: np.random.Generator | None = None) -> MaxT:
    """Step-down max-T (Westfall & Young 1993, algorithm 2.8) over the budgets of paired difference curves.

    The t statistics are studentised by |sum| / sqrt(sum of squares), which every flip leaves comparable: at equal n
    it is the same increasing function of |t| in every column. All 2^n patterns for n <= 16, else 20 000 random ones.

    Args:
        differences: strategy minus baseline, shape (n, T), n >= 1, T >= 1, finite.
        rng: for n > 16.

    Raises:
        ValueError: shape or finiteness is not as said, or n > 16 without `rng`.
    """
    d = _checked(differences)
    n = len(d)
    norm = np.sqrt((d**2).sum(axis=0))
    scaled = np.divide(d, norm, out=np.zeros_like(d), where=norm > 0)
    seen = np.abs(scaled.sum(axis=0))
    order = np.argsort(-seen, kind="stable")
    hits, flips = np.zeros(d.shape[1]), 0
    for signs in _patterns(n, rng):
        flipped = np.abs(signs @ scaled[:, order])
        largest = np.maximum.accumulate(flipped[:, ::-1], axis=1)[:, ::-1]  # over this budget and all that reach less
        hits += (largest >= seen[order] - 1e-9).sum(axis=0)
        flips += len(signs)
    simulated = n > ENUMERATED
    p = np.maximum.accumulate((hits + simulated) / (flips + simulated))
    adjusted = np.empty_like(p)
    adjusted[order] = p
    first = float(p[0])
    return MaxT(
        n=n,
        t=_student(d),
        p=first,
        p_adjusted=adjusted,
        smallest_p=1 / (1 + flips) if simulated else smallest_p(n),
        standard_error=float(np.sqrt(first * (1 - first) / flips)) if simulated else 0.0,
    )


def _patterns(n: int, rng: np.random.Generator | None) -> Iterator[Floats]:
    if n <= ENUMERATED:
        yield half_sign_patterns(n)
        return
    if rng is None:
        raise ValueError(f"expected a generator for more than {ENUMERATED} seeds, found none for {n}")
    for _ in range(FLIPS // CHUNK):
        yield 2 * random_bits(CHUNK, n, rng) - 1


def _student(d: Floats) -> Floats:
    n, mean = len(d), d.mean(axis=0)
    if n < 2:
        return np.full_like(mean, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # zero spread: infinite, or 0 where all differences are 0
        return np.where(mean == 0, 0.0, mean / (spread(d) / np.sqrt(n)))


def _checked(differences: ArrayLike) -> Floats:
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 2 or not d.size or not np.isfinite(d).all():
        raise ValueError(f"expected finite differences of shape (n, T), n and T >= 1, found shape {d.shape}")
    largest = float(np.abs(d).max())
    return d if largest == 0 else np.round(d / largest, 12)
