"""Bootstrap whole runs within strata, with resamples as matrices of counts.

A stratum is one setting (a data set under one regime). Its runs are drawn with replacement, n out of n. A run is drawn
with its whole curve and, for two strategies, with its partner of the same seed. A resample is a row of counts (how
often each run was drawn), so that all resampled means of a stratum are one matrix product.

With few seeds percentile and BCa intervals cover less than their nominal level (about .75, .84, .91 of a nominal .95
at n = 3, 5, 10). Verdicts therefore use t intervals and exact tests, not these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from analysis.statistics.arrays import Floats

Counts = NDArray[np.floating]
"""Whole numbers, shape (B, n), stored as floats because they are multiplied with floats."""
Method = Literal["percentile", "expanded", "bca"]
Statistic = Callable[[Sequence[Counts]], Floats]
"""Maps one (B, n_d) matrix of counts per stratum to B values, shape (B, ...). Rows need not sum to n_d (jackknife)."""


@dataclass(frozen=True)
class BootstrapEstimate:
    """A statistic with its bootstrap interval.

    Attributes:
        value: The statistic of the data. All arrays have its shape, 0-dimensional for one number.
        low, high: Bounds; NaN where a stratum has fewer than two runs, infinite where the resamples are.
        undefined: Share of resamples in which the statistic is NaN; the bounds use the other resamples.
        level: Nominal coverage, in (0, 1).
        runs: Number of runs in the smallest stratum.
    """

    value: Floats
    low: Floats
    high: Floats
    undefined: Floats
    level: float
    method: Method
    resamples: int
    runs: int

    def at(self, place: int) -> tuple[float, float, float]:
        """Return value, low and high of one entry of a statistic of shape (C,)."""
        return float(self.value[place]), float(self.low[place]), float(self.high[place])


class Resampler:
    """Source of resampling counts, reused for every statistic.

    Counts are drawn once per stratum and number of runs.

    Strategies, budgets and targets of one comparison thus share their resamples, as paired comparisons need.

    Args:
        rng: Consumed in the order in which new (stratum, n) are requested.
        resamples: Number of resamples B >= 1.
        level: Nominal coverage of the intervals, in (0, 1).
        method: Default interval method.

    >>> [counts.sum(axis=1).tolist() for counts in Resampler(np.random.default_rng(0), resamples=2).counts([3, 4])]
    [[3.0, 3.0], [4.0, 4.0]]
    """

    def __init__(
        self, rng: np.random.Generator, resamples: int = 10_000, level: float = 0.95, method: Method = "percentile"
    ) -> None:
        if resamples < 1 or not 0 < level < 1:
            raise ValueError(f"expected at least one resample and a level in (0, 1), found {resamples} and {level}")
        self._rng, self.resamples, self.level, self.method = rng, resamples, level, method
        self._drawn: dict[tuple[int, int], Counts] = {}

    def counts(self, sizes: Sequence[int]) -> list[Counts]:
        """Return one (B, n_d) matrix of counts per stratum; its rows sum to n_d."""
        return [self._stratum(place, n) for place, n in enumerate(sizes)]

    def _stratum(self, place: int, n: int) -> Counts:
        if (place, n) not in self._drawn:
            drawn = self._rng.integers(0, n, (self.resamples, n), dtype=np.int64)
            drawn += n * np.arange(self.resamples)[:, None]
            self._drawn[place, n] = (
                np.bincount(drawn.ravel(), minlength=n * self.resamples).reshape(-1, n).astype(np.float32)
            )
        return self._drawn[place, n]

    def estimate(self, statistic: Statistic, sizes: Sequence[int], method: Method | None = None) -> BootstrapEstimate:
        """Compute the statistic of the data and its interval.

        Args:
            statistic: Function of counts.
            sizes: Number of runs n_d per stratum.
            method: Interval method; by default the resampler's.
                percentile: The (1 - level) / 2 and (1 + level) / 2 quantiles of the resamples, rounded outwards to a
                resample.
                expanded: The same at tails that correct for small n: Phi(-sqrt(n / (n - 1)) t), where n is the smallest
                stratum and t is Student's quantile with sum(n_d - 1) degrees of freedom. The resampled variance is too
                small by (n - 1) / n, and the true one is unknown (Hesterberg 2015, Am. Stat. 69:371, section 3.2).
                bca: Bias-corrected and accelerated (Efron 1987, J. Am. Stat. Assoc. 82, eq. 2.3), with acceleration
                from the jackknife over the runs of every stratum.

        Raises:
            ValueError: There is no stratum, or an empty one.
        """
        if not len(sizes) or min(sizes) < 1:
            raise ValueError(f"expected at least one run in every stratum, found {list(sizes)}")
        value = np.asarray(statistic([np.ones((1, n)) for n in sizes]), dtype=np.float64)[0]
        drawn = np.asarray(statistic(self.counts(sizes)), dtype=np.float64)
        if (method or self.method) != "bca":
            return self.percentile(value, drawn, sizes, method)
        low, high = _bounds(drawn, _accelerated(self._tails(value), value, drawn, statistic, sizes), min(sizes))
        return BootstrapEstimate(value, low, high, _undefined(drawn), self.level, "bca", self.resamples, min(sizes))

    def percentile(
        self, value: Floats, drawn: Floats, sizes: Sequence[int], method: Method | None = None
    ) -> BootstrapEstimate:
        """Compute the percentile (or expanded) interval of resamples, shape (B, ...)."""
        expanded = (method or self.method) == "expanded"
        low, high = _bounds(
            drawn, self._tails(value, expanded_tail(sizes, self.level) if expanded else None), min(sizes)
        )
        return BootstrapEstimate(
            value,
            low,
            high,
            _undefined(drawn),
            self.level,
            "expanded" if expanded else "percentile",
            self.resamples,
            min(sizes),
        )

    def _tails(self, value: Floats, tail: float | None = None) -> Floats:
        low = 0.5 - self.level / 2 if tail is None else tail
        return np.full((2, *value.shape), np.array([low, 1 - low]).reshape(2, *[1] * value.ndim))


def expanded_tail(sizes: Sequence[int], level: float) -> float:
    """Return the tail probability of each bound of the expanded percentile interval.

    It is NaN if a stratum has one run.

    >>> expanded_tail([5, 5], 0.95) < expanded_tail([10, 10], 0.95) < 0.025  # wider with fewer runs
    True
    """
    n, df = min(sizes), sum(sizes) - len(sizes)
    return float(special.ndtr(-np.sqrt(n / (n - 1)) * special.stdtrit(df, (1 + level) / 2))) if n > 1 else float("nan")


def _undefined(drawn: Floats) -> Floats:
    return np.asarray(np.isnan(drawn).mean(axis=0))


def _bounds(drawn: Floats, tails: Floats, runs: int) -> tuple[Floats, Floats]:
    unknown = np.full(drawn.shape[1:], np.nan)
    return (unknown, unknown) if runs < 2 else _outward(drawn, tails)


def _outward(drawn: Floats, tails: Floats) -> tuple[Floats, Floats]:
    """Return quantiles that are resamples themselves: infinite ones are ordered, never averaged."""
    defined = drawn.shape[0] - np.isnan(drawn).sum(axis=0)
    known = (defined > 0) & np.isfinite(tails).all(axis=0)
    steps = np.where(known, tails, 0.0) * (np.maximum(defined, 1) - 1)
    places = np.stack([np.floor(steps[0]), np.ceil(steps[1])]).astype(np.int64)
    # for few places a partition is cheaper than sorting; NaN go last either way
    few = np.unique(places)
    ordered = np.partition(drawn, few, axis=0) if len(few) <= 4 else np.sort(drawn, axis=0)
    low, high = np.where(known, np.take_along_axis(ordered, places, axis=0), np.nan)
    return low, high


def _accelerated(tails: Floats, value: Floats, drawn: Floats, statistic: Statistic, sizes: Sequence[int]) -> Floats:
    """Return the tail probabilities of the BCa method, shape (2, ...)."""
    below = ((drawn < value).sum(axis=0) + 0.5 * (drawn == value).sum(axis=0)) / len(drawn)
    bias = stats.norm.ppf(below)
    cubes, squares = np.zeros_like(value), np.zeros_like(value)
    for place, n in enumerate(sizes):
        one_out = [np.ones((n, m)) for m in sizes]
        one_out[place] -= np.eye(n)
        left = np.asarray(statistic(one_out), dtype=np.float64)
        influence = (n - 1) * (left.mean(axis=0) - left)
        cubes = cubes + (influence**3).sum(axis=0) / n**3
        squares = squares + (influence**2).sum(axis=0) / n**2
    spread = squares > 0
    acceleration = np.where(spread, cubes / (6 * np.where(spread, squares, 1.0) ** 1.5), 0.0)
    reach = bias + stats.norm.ppf(tails)
    return np.asarray(stats.norm.cdf(bias + reach / (1 - acceleration * reach)))
