"""Compute power, and the number of seeds that a decision needs.

A study's own mean is never used (that would be "observed power").

Power is that of the paired t test (noncentral t; Cohen 1988). The sign-flip and Wilcoxon tests come close to it, but
they also need 2^(1-n) <= alpha / m before they can reject at all under Holm. For Holm over m tests the strictest step,
alpha / m, is assumed. Standard deviations are those of the paired difference, in the metric's units.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from scipy import optimize, special, stats

from analysis.statistics.hypothesis_tests import Test, smallest_p
from analysis.statistics.inversion import STRICTNESS

WANTED = 0.8
MOST = 100_000
"""The search for a number of seeds stops here."""
FAR = 1e4
"""Noncentrality beyond which scipy's noncentral t is NaN; the chi distribution of the spread then suffices."""


def power_of_t(n: int, effect: float, alpha: float = 0.05) -> float:
    """Compute the power of the two-sided paired t test.

    Args:
        n: Seeds, >= 2.
        effect: True difference in standard deviations of the paired difference.
        alpha: Level of the test, in (0, 1).

    Returns:
        Probability of rejection, in [alpha, 1].

    >>> round(power_of_t(10, 1.0), 3)  # the textbook value for d_z = 1, n = 10
    0.803
    """
    df, shift = n - 1, abs(effect) * math.sqrt(n)
    critical = float(special.stdtrit(df, 1 - alpha / 2))
    if shift > FAR:
        return float(special.chdtr(df, df * (shift / critical) ** 2))
    # the wrong side has less than Phi(-shift), below 1e-7 from shift 5 on, where scipy sometimes gives NaN
    wrong_side = np.nan_to_num(stats.nct.cdf(-critical, df, shift)) if shift < 8 else 0.0
    return float(stats.nct.sf(critical, df, shift) + wrong_side)


def power_of_tost(n: int, sd: float, delta: float, alpha: float = 0.05) -> float:
    """Compute the power of TOST if the true difference is 0.

    Exact up to quadrature: given the sample's sd s, equivalence is shown if |mean| < delta - t s / sqrt(n). That
    probability is averaged over the chi distribution of s (64-point Gauss-Legendre on its quantiles).

    Args:
        n: Seeds, >= 2.
        sd: Standard deviation of the paired difference, > 0.
        delta: Margin, in the units of `sd`.
        alpha: Level of each one-sided test.

    Returns:
        Probability of showing equivalence, in [0, 1].

    >>> round(power_of_tost(10, 1.0, 1.0), 3)
    0.795
    >>> power_of_tost(10, 1.0, 0.1)  # the margin is smaller than the half width of any likely interval
    0.0
    """
    s = sd * _spreads(n - 1)
    room = (delta - float(special.stdtrit(n - 1, 1 - alpha)) * s / math.sqrt(n)) / (sd / math.sqrt(n))
    return float(_quadrature()[1] @ np.where(room > 0, 2 * special.ndtr(room) - 1, 0.0))


@functools.lru_cache(maxsize=1024)
def _spreads(df: int) -> np.ndarray:
    """Return quantiles of the sample sd over the true sd at the nodes of the quadrature."""
    return np.sqrt(special.chdtri(df, 1 - _quadrature()[0]) / df)


@functools.cache
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    x, w = np.polynomial.legendre.leggauss(64)
    return (x + 1) / 2, w / 2


def seeds_to_detect(sd: float, delta: float, alpha: float = 0.05, power: float = WANTED) -> int | None:
    """Return the fewest seeds with which the paired t test detects a true difference of `delta`.

    Args:
        sd: Standard deviation of the paired difference.
        delta: True difference, in the same units.
        alpha: Level of the test.
        power: Probability of detection that is wanted.

    Returns:
        At least 2; None above 100 000.

    >>> seeds_to_detect(sd=1.0, delta=1.0)  # power .803 with 10 seeds
    10
    """
    return 2 if sd == 0 else _fewest(lambda n: power_of_t(n, delta / sd, alpha) >= power)


def seeds_to_show_equivalence(sd: float, delta: float, alpha: float = 0.05, power: float = WANTED) -> int | None:
    """Return the fewest seeds that show equivalence if the true difference is 0.

    Each one-sided test has level alpha / STRICTNESS (see `analysis.statistics.inversion`).

    Args:
        sd: Standard deviation of the paired difference.
        delta: Margin, in the same units.
        alpha: Level of the claim.
        power: Probability of showing equivalence that is wanted.

    Returns:
        At least `least_seeds_equivalence`; None above 100 000.

    >>> seeds_to_show_equivalence(sd=1.0, delta=1.0), seeds_to_show_equivalence(sd=0.0, delta=1.0)
    (16, 7)
    """
    least = least_seeds_equivalence(1, alpha)
    enough = least if sd == 0 else _fewest(lambda n: power_of_tost(n, sd, delta, alpha / STRICTNESS) >= power)
    return None if enough is None else max(enough, least)


def seeds_to_reject(tests: int, alpha: float = 0.05) -> int:
    """Return the fewest seeds with which a sign-flip or Wilcoxon test can reject under Holm.

    That is the smallest n with 2^(1-n) <= alpha / tests.

    >>> seeds_to_reject(1), seeds_to_reject(10)  # 2^-5 = .031 <= .05; 2^-8 = .0039 <= .005
    (6, 9)
    """
    n = 1
    while smallest_p(n) > alpha / tests:
        n += 1
    return n


def seeds_to_decide(sd: float, delta: float, alpha: float, tests: int, test: Test) -> int | None:
    """Return the seeds that give 80 % power for a decision in each of two cases.

    The cases are a true difference of `delta` (the verdict is then better or worse) and a true difference of 0 (the
    verdict is then equivalent). The result is the larger of the two numbers, at level alpha / tests, and at least what
    the exact test needs to reject at all. A true difference strictly between 0 and `delta` may stay undecided for
    longer. If `sd` is 0, every test is an exact one (`analysis.statistics.hypothesis_tests`), whatever was planned.

    Args:
        sd: Standard deviation of the paired difference.
        delta: Margin of equivalence, in the same units.
        alpha: Family-wise level.
        tests: Tests corrected together, m.
        test: The planned test.

    Returns:
        At least 2; None above 100 000.

    >>> seeds_to_decide(1.0, 1.0, 0.05, 1, "sign-flip")  # 10 to detect, 16 for equivalence, 6 for the exact test
    16
    """
    if sd == 0:
        return least_seeds_equivalence(tests, alpha)
    detect = seeds_to_detect(sd, delta, alpha / tests)
    equal = seeds_to_show_equivalence(sd, delta, alpha / tests)
    if detect is None or equal is None:
        return None
    return max(detect, equal, least_seeds(test, tests, alpha))


def least_seeds_equivalence(tests: int, alpha: float) -> int:
    """Return the fewest seeds that can show equivalence under Holm over `tests`.

    That is the smallest n with STRICTNESS 2^-n <= alpha / tests.

    >>> least_seeds_equivalence(1, 0.05), least_seeds_equivalence(10, 0.05)  # 5 / 2^7 = .039; 5 / 2^10 = .0049
    (7, 10)
    """
    n = 1
    while STRICTNESS * 2.0**-n > alpha / tests:
        n += 1
    return n


def least_seeds(test: Test, tests: int, alpha: float) -> int:
    """Return the fewest seeds with which `test` can reject at all under Holm over `tests`.

    >>> least_seeds("t", 1, 0.05), least_seeds("wilcoxon", 1, 0.05)
    (2, 6)
    """
    return 2 if test == "t" else seeds_to_reject(tests, alpha)


@functools.lru_cache(maxsize=1024)
def minimum_detectable_effect(n: int, alpha: float = 0.05, power: float = WANTED) -> float:
    """Return the true difference, in standard deviations, that n seeds detect (paired t).

    It is infinite for n < 2.

    >>> round(minimum_detectable_effect(10), 2)  # about 1 sd: see `power_of_t`
    1.0
    """
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
