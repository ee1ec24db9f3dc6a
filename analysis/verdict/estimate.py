"""Estimate differences to the baseline, paired or unpaired, with interval and tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.loading.curves import Curves
from analysis.statistics.alpha_spending import sequential_p
from analysis.statistics.hypothesis_tests import Test, TestResult, run_tests, t_tail, tost, welch, welch_error
from analysis.statistics.intervals import t_interval
from analysis.verdict.pairing import Paired


@dataclass(frozen=True)
class Estimate:
    """Difference of a strategy to the baseline, in the metric's units.

    Attributes:
        n: Number of pairs; if unpaired, the number of values on the smaller side.
        difference, low, high: Mean difference and its t interval (Welch's if unpaired); NaN if n is too small.
        sd: Standard deviation of the paired difference; if unpaired, sqrt(s1^2 + s2^2), its value without correlation.
        test: Two-sided test of no difference.
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
    pairs: Sequence[Paired],
    test: Test,
    delta: float,
    rng: np.random.Generator,
    *,
    paired: bool = True,
    level: float = 0.95,
) -> list[Estimate]:
    """Estimate the difference to the baseline for each strategy.

    Args:
        pairs: Paired values per strategy.
        test: The planned test; Welch's is used if unpaired.
        delta: Margin of equivalence, > 0.
        rng: Used only by sign-flip tests of more than 16 pairs.
        paired: Whether seeds are shared with the baseline.
        level: Nominal coverage of the intervals.
    """
    if not paired:
        return [independent(p.strategy_values, p.baseline_values, delta, level) for p in pairs]
    estimated = []
    for pair, result in zip(pairs, run_tests(test, [p.differences for p in pairs], rng), strict=True):
        spread = t_interval(pair.differences, level)
        equal = tost(pair.differences, delta).p
        estimated.append(Estimate(spread.n, spread.mean, spread.low, spread.high, spread.sd, result, equal))
    return estimated


def independent(strategy: ArrayLike, baseline: ArrayLike, delta: float, level: float = 0.95) -> Estimate:
    """Estimate the difference of two independent samples by Welch's t interval, test and TOST.

    Welch 1947; Schuirmann 1987 with Welch's standard error and degrees of freedom.

    Args:
        strategy: Values of the strategy, shape (n,).
        baseline: Values of the baseline, shape (m,).
        delta: Margin of equivalence, > 0.
        level: Nominal coverage of the interval.
    """
    x, y = np.asarray(strategy, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    test, n = welch(x, y), min(len(x), len(y))
    mean = float(x.mean() - y.mean()) if n else math.nan
    if n < 2:
        return Estimate(n, mean, math.nan, math.nan, math.nan, test, 1.0)
    if np.ptp(x) == np.ptp(y) == 0:
        inside = 1 / math.comb(len(x) + len(y), len(x))
        return Estimate(n, mean, mean, mean, 0.0, test, inside if abs(mean) < delta else 1.0)
    se, df = welch_error(x, y)
    half = float(stats.t.ppf((1 + level) / 2, df)) * se
    equal = max(t_tail((mean + delta) / se, df), t_tail((delta - mean) / se, df))
    sd = math.sqrt(x.var(ddof=1) + y.var(ddof=1))
    return Estimate(n, mean, mean - half, mean + half, sd, test, equal)


def estimates_at_looks(family: Sequence[Paired], curves: Curves, rng: np.random.Generator) -> list[Estimate]:
    """Estimate each comparison at the last look it has reached, with sequential p-values.

    Before the first look the estimate uses the available pairs, with p = 1. The p of equivalence is one-sided.
    """
    plan = curves.plan
    order: dict[tuple[str, str], list[int]] = {}
    for key in curves.planned:
        order.setdefault((key.protocol, key.strategy), []).append(key.seed)
    estimated = []
    for pair in family:
        planned, complete = order[pair.protocol, pair.strategy], set(pair.seeds)
        reached = [n for n in plan.looks if complete.issuperset(planned[:n])]
        subsets = [_only(pair, set(planned[:n])) for n in reached] or [pair]
        at_looks = estimates(subsets, plan.test, plan.delta, rng)
        last = at_looks[-1]
        tests = [e.test.p for e in at_looks] if reached else []
        equal = [min(1.0, 2 * e.equivalence) for e in at_looks] if reached else []
        p, q = (sequential_p(values, plan.looks, plan.spending) for values in (tests, equal))
        estimated.append(replace(last, test=replace(last.test, p=p), equivalence=q / 2 if q < 1 else 1.0))
    return estimated


def _only(pair: Paired, seeds: set[int]) -> Paired:
    keep = [place for place, seed in enumerate(pair.seeds) if seed in seeds]
    values = {name: getattr(pair, name)[keep] for name in ("strategy_values", "baseline_values")}
    return replace(pair, seeds=tuple(pair.seeds[place] for place in keep), **values)
