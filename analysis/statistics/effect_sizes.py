"""Compute effect sizes with 95 % intervals: how large a difference is, whatever the test says."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats


@dataclass(frozen=True)
class Effect:
    """An effect size with its interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


CERTAIN = 100.0
"""|t| beyond which noncentral t fails numerically and a closed form is exact to three digits."""
UNDEFINED = Effect(math.nan, math.nan, math.nan)


def cohens_dz(differences: ArrayLike, level: float = 0.95) -> Effect:
    """Compute Cohen's d_z, the mean over the standard deviation of paired differences (Cohen 1988).

    The interval inverts the noncentral t distribution (Steiger & Fouladi 1997).

    Args:
        differences: Strategy minus baseline, shape (n,).
        level: Nominal coverage of the interval.

    Returns:
        In standard deviations; positive means that the strategy is better. NaN for n < 2 or equal differences.

    >>> cohens_dz([1, 2, 3]).value  # mean 2, sd 1
    2.0
    """
    d = np.asarray(differences, dtype=np.float64)
    if len(d) < 2 or np.ptp(d) == 0:
        return UNDEFINED
    value, root, df = float(d.mean() / d.std(ddof=1)), math.sqrt(len(d)), len(d) - 1
    t, tails = abs(value) * root, ((1 - level) / 2, (1 + level) / 2)
    if t > CERTAIN:  # the error of the mean is negligible here: only the chi distribution of sd is left
        near, far = (t * math.sqrt(stats.chi2.ppf(q, df) / df) for q in tails)
    else:
        top = t * math.sqrt(stats.chi2.isf(1e-6, df) / df) + 10

        def over(shift: float, q: float) -> float:
            below = float(special.nctdtr(df, shift, t))  # nct.cdf without its argument checks
            return (
                below if math.isfinite(below) else float(shift < t)
            ) - q  # scipy gives NaN far out, where it is 0 or 1

        least = -float(stats.norm.ppf(tails[1])) - 0.01  # the bound at t = 0, where noncentral t is normal
        far, near = (float(optimize.brentq(over, least, top, args=(q,))) for q in tails)
    low, high = (near, far) if value > 0 else (-far, -near)
    return Effect(value, low / root, high / root)


def superiority(strategy: ArrayLike, baseline: ArrayLike, level: float = 0.95) -> Effect:
    """Compute A12 = P(strategy > baseline) + P(equal) / 2 over all pairs of values.

    Reference: Vargha & Delaney 2000.

    The interval is the score-type interval of Newcombe (2006, Statistics in Medicine 25:559, method 5).

    Args:
        strategy: Values of the strategy, shape (n,), n >= 1; not paired with the baseline's.
        baseline: Values of the baseline, shape (m,), m >= 1.
        level: Nominal coverage of the interval.

    Returns:
        In [0, 1]; 0.5 means no difference, above it the strategy is better. NaN if a sample is empty.

    >>> superiority([2, 3], [1, 2]).value  # 3 wins and 1 tie in 4 pairs
    0.875
    """
    x, y = np.asarray(strategy, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if not len(x) or not len(y):
        return UNDEFINED
    value = float(np.mean((x[:, None] > y) + 0.5 * (x[:, None] == y)))
    z, more = float(stats.norm.ppf((1 + level) / 2)), (len(x) + len(y)) / 2 - 1

    def spread(theta: float) -> float:
        q = theta * (1 - theta) * (1 + more * (1 - theta) / (2 - theta) + more * theta / (1 + theta))
        return z * math.sqrt(q / (len(x) * len(y)))

    low = 0.0 if value == 0 else float(optimize.brentq(lambda theta: value - theta - spread(theta), 0.0, value))
    high = 1.0 if value == 1 else float(optimize.brentq(lambda theta: theta - value - spread(theta), value, 1.0))
    return Effect(value, low, high)


def paired_improvement(differences: ArrayLike, level: float = 0.95) -> Effect:
    """Compute how often the strategy wins on the same seed: P(d > 0) + P(d = 0) / 2.

    The interval is that of Clopper & Pearson (1934), ties counted half.

    Args:
        differences: Strategy minus baseline, shape (n,).
        level: Nominal coverage of the interval.

    Returns:
        In [0, 1]; 0.5 means no difference. NaN for n = 0.

    >>> paired_improvement([1, 2, 0, -1]).value  # 2 wins and 1 tie in 4 seeds
    0.625
    """
    d = np.asarray(differences, dtype=np.float64)
    n = len(d)
    if not n:
        return UNDEFINED
    wins, tail = float(np.sum(d > 0) + np.sum(d == 0) / 2), (1 - level) / 2
    low = 0.0 if wins == 0 else float(stats.beta.ppf(tail, wins, n - wins + 1))
    high = 1.0 if wins == n else float(stats.beta.ppf(1 - tail, wins + 1, n - wins))
    return Effect(wins / n, low, high)
