"""Test whole curves: does a strategy differ at any budget, and at which?

The test is Westfall-Young max-T by sign flips.

Under "no difference at any budget" the sign of each seed's whole difference curve is random. Flipping all budgets of a
seed together keeps their correlation, which separate tests at each budget ignore.
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
"""Monte Carlo sign patterns for more than 16 seeds."""
CHUNK = 2_000


@dataclass(frozen=True)
class MaxT:
    """Result of a whole-curve test of n seeds over T budgets.

    Attributes:
        t: Student's t at each budget, shape (T,); infinite if all differences there are equal.
        p: Two-sided p of "no difference at any budget".
        p_adjusted: Step-down p at each budget, shape (T,). Rejecting where it is at most alpha keeps the family-wise
            error over budgets at alpha.
        smallest_p: The smallest p this test can give: 2^(1-n), or 1 / (1 + flips) if simulated.
        standard_error: Monte Carlo standard error of p; 0 if enumerated.
    """

    n: int
    t: Floats
    p: float
    p_adjusted: Floats
    smallest_p: float
    standard_error: float = 0.0


def max_t(differences: ArrayLike, rng: np.random.Generator | None = None) -> MaxT:
    """Compute the step-down max-T test over the budgets of paired difference curves.

    Reference: Westfall & Young 1993, algorithm 2.8.

    The statistic at each budget is |sum| / sqrt(sum of squares). For equal n it is the same increasing function of |t|
    at every budget, so that it stays comparable under flips. All 2^n sign patterns are used for n <= 16, else 20 000
    random ones.

    Args:
        differences: Strategy minus baseline, shape (n, T), n >= 1, T >= 1, finite.
        rng: Source of the random patterns; needed for n > 16.

    Raises:
        ValueError: The shape is wrong, a value is not finite, or n > 16 without `rng`.

    >>> result = max_t([[1, 2], [2, 1], [3, 3]])  # at either budget only +++ and --- reach the observed sum: 2 of 8
    >>> result.p, result.p_adjusted.tolist()
    (0.25, [0.25, 0.25])
    """
    d = _checked(differences)
    n = len(d)
    norm = np.sqrt((d**2).sum(axis=0))
    scaled = np.divide(d, norm, out=np.zeros_like(d), where=norm > 0)
    observed = np.abs(scaled.sum(axis=0))
    order = np.argsort(-observed, kind="stable")
    ordered, reached = np.ascontiguousarray(scaled[:, order].T), observed[order][:, None] - 1e-9
    hits, flips = np.zeros(d.shape[1]), 0
    for signs in _patterns(n, rng):
        flipped = np.abs(ordered @ signs.T)
        for i in range(len(flipped) - 1, 0, -1):  # the largest over this budget and all with a smaller statistic
            np.maximum(flipped[i - 1], flipped[i], out=flipped[i - 1])
        hits += np.count_nonzero(flipped >= reached, axis=1)
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
        raise ValueError(f"expected `rng` for more than {ENUMERATED} seeds, found None with n = {n}")
    for _ in range(FLIPS // CHUNK):
        yield 2 * random_bits(CHUNK, n, rng) - 1


def _student(d: Floats) -> Floats:
    n, mean = len(d), d.mean(axis=0)
    if n < 2:
        return np.full_like(mean, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # equal differences: infinite, or 0 where all are 0
        return np.where(mean == 0, 0.0, mean / (spread(d) / np.sqrt(n)))


def _checked(differences: ArrayLike) -> Floats:
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 2 or not d.size or not np.isfinite(d).all():
        raise ValueError(f"expected finite differences of shape (n, T), n and T >= 1, found shape {d.shape}")
    largest = float(np.abs(d).max())
    return d if largest == 0 else np.round(d / largest, 12)
