"""One difference to the baseline with its interval, test and equivalence test: paired, or of independent samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.equivalence import tost
from analysis.intervals import t_interval
from analysis.pairing import Paired
from analysis.significance import Test, TestResult, run_tests, t_tail, welch, welch_freedom


@dataclass(frozen=True)
class Estimate:
    """Strategy minus baseline in the metric's units.

    Attributes:
        n: pairs; unpaired, the values of the smaller side.
        difference, low, high: mean and t interval (Welch's, unpaired). NaN where n is too small.
        sd: of the paired difference; unpaired, sqrt(s1^2 + s2^2), which is what it would be without correlation.
        test: two-sided, of no difference.
        equivalence: p of TOST within the margin.
    """

    n: int
    difference: float
    low: float
    high: float
    sd: float
    test: TestResult
    equivalence: float


def estimates(
    pairs: Sequence[Paired], test: Test, delta: float, rng: np.random.Generator, *, paired: bool = True, level: float = 0.95
) -> list[Estimate]:
    """Of each strategy; `rng` is drawn from only by sign-flip tests of more than 16 pairs."""
    if not paired:
        return [independent(p.strategy_values, p.baseline_values, delta, level) for p in pairs]
    found = []
    for pair, result in zip(pairs, run_tests(test, [p.differences for p in pairs], rng), strict=True):
        spread = t_interval(pair.differences, level)
        equal = tost(pair.differences, delta).p
        found.append(Estimate(spread.n, spread.mean, spread.low, spread.high, spread.sd, result, equal))
    return found


def independent(strategy: ArrayLike, baseline: ArrayLike, delta: float, level: float = 0.95) -> Estimate:
    """Welch's t interval, test and TOST (Welch 1947; Schuirmann 1987 with Welch's standard error and degrees of freedom)."""
    x, y = np.asarray(strategy, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    test, n = welch(x, y), min(len(x), len(y))
    mean = float(x.mean() - y.mean()) if n else math.nan
    if n < 2:
        return Estimate(n, mean, math.nan, math.nan, math.nan, test, 1.0)
    if np.ptp(x) == np.ptp(y) == 0:
        inside = 1 / math.comb(len(x) + len(y), len(x))
        return Estimate(n, mean, mean, mean, 0.0, test, inside if abs(mean) < delta else 1.0)
    u, v = x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)
    se, df = math.sqrt(u + v), welch_freedom(float(u), float(v), len(x), len(y))
    half = float(stats.t.ppf((1 + level) / 2, df)) * se
    equal = max(t_tail((mean + delta) / se, df), t_tail((delta - mean) / se, df))
    sd = math.sqrt(x.var(ddof=1) + y.var(ddof=1))
    return Estimate(n, mean, mean - half, mean + half, sd, test, equal)
