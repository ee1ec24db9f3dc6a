"""How many seeds a decision needs, before they are spent. Never "observed power": a study's own mean is not used.

Power is that of the paired t test (noncentral t; Cohen 1988), which the sign-flip and Wilcoxon tests come
close to; on top of it those two need 2^(1-n) <= alpha / m before they can reject at all under Holm.
Under Holm over m tests the strictest step, alpha / m, is assumed. Standard deviations are of the paired
difference, in the metric's units.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from scipy import optimize, special, stats

from analysis.statistics.hypothesis_tests import Test, smallest_p

WANTED = 0.8
MOST = 100_000
"""No answer is given beyond this many seeds."""
FAR = 1e4
"""Noncentrality beyond which scipy's noncentral t ends in NaN, and only the chi distribution of the spread is left of it."""


def power_of_t(n: int, effect: float, alpha: float = 0.05) -> float:
    """Power of the two-sided paired t test with n >= 2 seeds at a true difference of `effect` standard deviations."""
    df, shift = n - 1, abs(effect) * math.sqrt(n)
    critical = float(special.stdtrit(df, 1 - alpha / 2))
    if shift > FAR:
        return float(special.chdtr(df, df * (shift / critical) ** 2))
    # the wrong side has less than Phi(-shift); scipy gives NaN for it here and there from shift 5 on, where that is below 1e-7
    wrong_side = np.nan_to_num(stats.nct.cdf(-critical, df, shift)) if shift < 8 else 0.0
    return float(stats.nct.sf(critical, df, shift) + wrong_side)


def power_of_tost(n: int, sd: float, delta: float, alpha: float = 0.05) -> float:
    """Power of TOST with n >= 2 seeds if the true difference is 0.

    Exact up to quadrature: given the sample's sd s, equivalence is shown if |mean| < delta - t s / sqrt(n);
    that probability is averaged over the chi distribution of s (64-point Gauss-Legendre on its quantiles).
    """
    s = sd * _spreads(n - 1)
    room = (delta - float(special.stdtrit(n - 1, 1 - alpha)) * s / math.sqrt(n)) / (sd / math.sqrt(n))
    return float(_quadrature()[1] @ np.where(room > 0, 2 * special.ndtr(room) - 1, 0.0))


@functools.lru_cache(maxsize=1024)
def _spreads(df: int) -> np.ndarray:
    """Quantiles of a sample's standard deviation over the true one, at the nodes of the quadrature."""
    return np.sqrt(special.chdtri(df, 1 - _quadrature()[0]) / df)


@functools.cache
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    x, w = np.polynomial.legendre.leggauss(64)
    return (x + 1) / 2, w / 2


def seeds_to_detect(sd: float, delta: float, alpha: float = 0.05, power: float = WANTED) -> int | None:
    """Fewest seeds with which the paired t test finds a true difference of `delta` with this power; None beyond 100 000."""
    return 2 if sd == 0 else _fewest(lambda n: power_of_t(n, delta / sd, alpha) >= power)


def seeds_to_show_equivalence(sd: float, delta: float, alpha: float = 0.05, power: float = WANTED) -> int | None:
    """Fewest seeds with which TOST shows equivalence within `delta`, if the true difference is 0; None beyond 100 000."""
    return 2 if sd == 0 else _fewest(lambda n: power_of_tost(n, sd, delta, alpha) >= power)


def seeds_to_reject(tests: int, alpha: float = 0.05) -> int:
    """Fewest seeds with which an exact sign-flip (or Wilcoxon) test can reject under Holm over `tests`: 2^(1-n) <= alpha / tests."""
    n = 1
    while smallest_p(n) > alpha / tests:
        n += 1
    return n


def seeds_to_decide(sd: float, delta: float, alpha: float, tests: int, test: Test) -> int | None:
    """Seeds after which a verdict other than "undecided" has 80 % power, whichever of two cases holds.

    The cases: the true difference is `delta` (then better or worse is found), or it is 0 (then equivalence
    is shown). The larger of the two numbers, at alpha / tests, and no fewer than the exact test can
    ever reject with. A true difference strictly between may stay undecided for longer. Without spread every
    test is an exact one (`analysis.statistics.hypothesis_tests`), whatever was planned.
    """
    if sd == 0:
        return seeds_to_reject(tests, alpha)
    detect = seeds_to_detect(sd, delta, alpha / tests)
    equal = seeds_to_show_equivalence(sd, delta, alpha / tests)
    if detect is None or equal is None:
        return None
    return max(detect, equal, least_seeds(test, tests, alpha))


def least_seeds(test: Test, tests: int, alpha: float) -> int:
    """Fewest seeds with which `test` can reject at all: 2 for t."""
    return 2 if test == "t" else seeds_to_reject(tests, alpha)


@functools.lru_cache(maxsize=1024)
def minimum_detectable_effect(n: int, alpha: float = 0.05, power: float = WANTED) -> float:
    """True difference, in standard deviations, that n seeds find with this power (paired t); infinity for n < 2."""
    if n < 2:
        return math.inf
    upper = 1.0
    while power_of_t(n, upper, alpha) < power:
        upper *= 2
    return float(optimize.brentq(lambda effect: power_of_t(n, effect, alpha) - power, 0.0, upper))


def _fewest(enough: Callable[[int], bool]) -> int | None:
    high = 2
    while not enough(high):
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return max(high, 2)
