"""Estimate differences to the baseline, paired or unpaired, with interval and tests."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.loading.curves import Curves
from analysis.statistics.alpha_spending import sequential_p
from analysis.statistics.arrays import Floats
from analysis.statistics.hypothesis_tests import Test, TestResult, run_tests, t_tail, tost, welch, welch_error
from analysis.statistics.intervals import t_interval
from analysis.statistics.inversion import (
    STRICTNESS,
    Inverted,
    equivalence_p,
    invert_sign_flips,
    invert_signed_rank,
    pseudo_median,
)
from analysis.verdict.pairing import Paired

Interval = Literal["sign-flip", "wilcoxon", "t", "welch", ""]
"""Test whose inversion gave an interval; empty if there is none."""


@dataclass(frozen=True)
class Estimate:
    """Difference of a strategy to the baseline, in the metric's units.

    Attributes:
        n: Number of pairs; if unpaired, the number of values on the smaller side.
        difference: Mean difference.
        low, high: Interval of the difference by inverting the test; NaN if n is too small.
        sd: Standard deviation of the paired difference; if unpaired, sqrt(s1^2 + s2^2), its value without correlation.
        test: Two-sided test of no difference.
        equivalence: p of equivalence within the margin, see `analysis.statistics.inversion.equivalence_p`.
        interval: How the interval was made: by the test itself, or t where n is too small for an exact interval.
        centre: Value that the interval is made around: the mean, for Wilcoxon's test the pseudo-median.
    """

    n: int
    difference: float
    low: float
    high: float
    sd: float
    test: TestResult
    equivalence: float
    interval: Interval = ""
    centre: float = math.nan


def estimates(
    pairs: Sequence[Paired],
    test: Test,
    delta: float,
    rng: np.random.Generator,
    *,
    paired: bool = True,
    level: float = 0.95,
    rho: float = 0.0,
) -> list[Estimate]:
    """Estimate the difference to the baseline for each strategy.

    Equivalence is shown by the sign-flip test of the mean, whatever the planned test, and by the planned test as well.
    So it always takes more seeds to show "equivalent" than it takes the sign-flip test to show a difference.

    Args:
        pairs: Paired values per strategy.
        test: The planned test; Welch's is used if unpaired.
        delta: Margin of equivalence, > 0.
        rng: Used only by sign-flip tests of more than 16 pairs.
        paired: Whether seeds are shared with the baseline.
        level: Nominal coverage of the intervals.
        rho: Correlation between the differences, for the t test only.
    """
    if not paired:
        return [independent(p.strategy_values, p.baseline_values, delta, level, p.resolution) for p in pairs]
    samples = [p.differences for p in pairs]
    twin = copy.deepcopy(rng)  # the same random flips give p and interval
    results = run_tests(test, samples, rng, rho)
    flips = invert_sign_flips(samples, delta, level, twin)
    return [
        _estimate(pair, result, flip, delta, level, rho)
        for pair, result, flip in zip(pairs, results, flips, strict=True)
    ]


def _estimate(pair: Paired, result: TestResult, flip: Inverted, delta: float, level: float, rho: float) -> Estimate:
    d = pair.differences
    spread = t_interval(d, level, rho)
    centre = spread.mean
    if result.test == "t":
        own, inverted = tost(d, delta, rho).p, None
    elif result.test == "wilcoxon":
        inverted = invert_signed_rank(d, delta, level)
        own = inverted.outside
    else:
        own, inverted = flip.outside, flip
    kind: Interval = "t" if len(d) > 1 else ""
    low, high = spread.low, spread.high
    if inverted is not None and inverted.bounded:
        kind = "wilcoxon" if result.test == "wilcoxon" else "sign-flip"
        centre = pseudo_median(d) if kind == "wilcoxon" else centre
        low, high = _agreeing(inverted.low, inverted.high, d, result, level)
    low, high = _floored(low, high, centre, pair.resolution / 2)
    outside = max(own, 2.0 ** -len(d) if rho else flip.outside)
    outside = outside if abs(centre) + pair.resolution / 2 < delta else 1.0  # the margin may be finer than the metric
    return Estimate(spread.n, spread.mean, low, high, spread.sd, result, equivalence_p(outside), kind, centre)


def _agreeing(low: float, high: float, d: Floats, result: TestResult, level: float) -> tuple[float, float]:
    """Return the interval with zero on the side on which the test has it.

    Wilcoxon's test drops zeros and averages tied ranks, its inversion does neither; then they may disagree about zero.
    """
    if result.p > 1 - level + 1e-12:
        return min(low, 0.0), max(high, 0.0)
    if low <= 0 <= high:
        smallest = float(np.abs(d[d != 0]).min()) / 2
        return (max(low, smallest), high) if result.direction > 0 else (low, min(high, -smallest))
    return low, high


def _floored(low: float, high: float, centre: float, least: float) -> tuple[float, float]:
    """Return the interval with at least this half width, without moving an end to zero or across it."""
    if not math.isfinite(low):
        return low, high
    half = min(least, abs(centre) / 2) if low > 0 or high < 0 else least
    return min(low, centre - half), max(high, centre + half)


def independent(
    strategy: ArrayLike, baseline: ArrayLike, delta: float, level: float = 0.95, resolution: float = 0.0
) -> Estimate:
    """Estimate the difference of two independent samples by Welch's t interval, test and TOST.

    Welch 1947; Schuirmann 1987 with Welch's standard error and degrees of freedom. The p of equivalence is never below
    that of the most extreme relabelling, so that few values show nothing.

    Args:
        strategy: Values of the strategy, shape (n,).
        baseline: Values of the baseline, shape (m,).
        delta: Margin of equivalence, > 0.
        level: Nominal coverage of the interval.
        resolution: Smallest difference that the metric can show.
    """
    x, y = np.asarray(strategy, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    test, n = welch(x, y), min(len(x), len(y))
    mean = float(x.mean() - y.mean()) if n else math.nan
    if n < 2:
        return Estimate(n, mean, math.nan, math.nan, math.nan, test, 1.0)
    least = 1 / math.comb(len(x) + len(y), len(x))
    if np.ptp(x) == np.ptp(y) == 0:
        low, high = _floored(mean, mean, mean, resolution / 2)
        outside, sd = (least if abs(mean) < delta else 1.0), 0.0
    else:
        se, df = welch_error(x, y)
        half = float(stats.t.ppf((1 + level) / 2, df)) * se
        low, high = _floored(mean - half, mean + half, mean, resolution / 2)
        outside = max(least, t_tail((mean + delta) / se, df), t_tail((delta - mean) / se, df))
        sd = math.sqrt(x.var(ddof=1) + y.var(ddof=1))
    outside = outside if abs(mean) + resolution / 2 < delta else 1.0
    return Estimate(n, mean, low, high, sd, test, equivalence_p(outside), "welch", mean)


def estimates_at_looks(family: Sequence[Paired], curves: Curves, rng: np.random.Generator) -> list[Estimate]:
    """Estimate each comparison at the last look it has reached, with sequential p-values.

    Before the first look the estimate uses the available pairs, with p = 1. The spending function is two-sided, so that
    the one-sided p of equivalence is doubled for it.
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
        at_looks = estimates(subsets, plan.test, plan.delta, rng, rho=curves.rho)
        last = at_looks[-1]
        tests = [e.test.p for e in at_looks] if reached else []
        equal = [min(1.0, 2 * e.equivalence / STRICTNESS) if e.equivalence < 1 else 1.0 for e in at_looks]
        equal = equal if reached else []
        p, q = (sequential_p(values, plan.looks, plan.spending) for values in (tests, equal))
        estimated.append(replace(last, test=replace(last.test, p=p), equivalence=equivalence_p(q / 2)))
    return estimated


def _only(pair: Paired, seeds: set[int]) -> Paired:
    keep = [place for place, seed in enumerate(pair.seeds) if seed in seeds]
    values = {name: getattr(pair, name)[keep] for name in ("strategy_values", "baseline_values")}
    return replace(pair, seeds=tuple(pair.seeds[place] for place in keep), **values)
