"""Simultaneous bands: the whole true difference curve lies inside with the stated probability.

A pointwise 95 % interval at each of many budgets excludes the truth somewhere far more often than 1 time in 20.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from analysis.statistics.arrays import Floats

Method = Literal["bonferroni-t", "sup-t"]
FEW = 5
"""Up to this many seeds correlations are anyone's guess: Bonferroni, which needs none."""
SEED = 1912
"""Of the normal draws behind sup-t: the same curves give the same band."""


@dataclass(frozen=True)
class Band:
    """mean ± critical * se at each budget, shape (T,) each; NaN bounds for one seed."""

    mean: Floats
    low: Floats
    high: Floats
    method: Method
    critical: float
    n: int


def simultaneous_band(values: ArrayLike, level: float = 0.95, method: Method | None = None) -> Band:
    """Band for the mean curve of `values`, shape (n, T), n >= 1.

    bonferroni-t: Student's quantile at (1 - level) / T. sup-t (Montiel Olea & Plagborg-Moller 2019): the quantile of
    the largest |t| over budgets; here of curves drawn with the observed correlations and n seeds, every draw
    studentised by its own spread (a normal limit would be too narrow at n < 50). Never wider than Bonferroni.
    By default Bonferroni for n <= 5, sup-t beyond. `analysis/CALIBRATION.md` has the coverage of both.
    """
    x = np.asarray(values, dtype=np.float64)
    n, budgets = x.shape
    mean, low, high = t_band(x, level)
    chosen: Method = method or ("bonferroni-t" if n <= FEW else "sup-t")
    if n < 2:
        return Band(mean, low, high, chosen, float("nan"), n)
    critical = float(stats.t.ppf(1 - (1 - level) / (2 * budgets), n - 1))
    sd = spread(x)
    if chosen == "sup-t" and budgets > 1 and (sd > 0).any():
        critical = min(critical, _sup_t((x - mean)[:, sd > 0] / sd[sd > 0], level))
    half = critical * sd / np.sqrt(n)
    return Band(mean, mean - half, mean + half, chosen, critical, n)


def _sup_t(standardised: Floats, level: float) -> float:
    n = len(standardised)
    z = (standardised / np.sqrt(n - 1)).astype(np.float32)
    drawn = _normals(n) @ z  # (draws, n, T): rows with the observed correlation matrix z'z
    t = np.abs(drawn.mean(axis=1)) / drawn.std(axis=1, ddof=1) * np.sqrt(n)
    return float(np.quantile(t.max(axis=1), level))


@functools.lru_cache(maxsize=4)
def _normals(n: int) -> NDArray[np.float32]:
    """Standard normal draws, shape (draws, n, n): fewer draws where there are many seeds, at most 8 MB beyond 63."""
    draws = max(500, min(10_000, 2_000_000 // n**2))
    return np.random.default_rng([SEED, n]).standard_normal((draws, n, n), dtype=np.float32)


@dataclass(frozen=True)
class Interval:
    """Mean, its two-sided interval, the sample standard deviation (n - 1) and n. NaN where n is too small."""

    mean: float
    low: float
    high: float
    sd: float
    n: int


def t_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Interval of the mean of `values`, shape (n,). Low and high are NaN for n < 2, and the mean itself at zero spread."""
    x = np.asarray(values, dtype=np.float64)
    if not len(x):
        return Interval(float("nan"), float("nan"), float("nan"), float("nan"), 0)
    mean, low, high = (float(v[0]) for v in t_band(x[:, None], level))
    return Interval(mean, low, high, float(spread(x)) if len(x) > 1 else float("nan"), len(x))


def t_band(values: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats, Floats]:
    """Pointwise mean, low and high, each (T,), of `values` (n, T), n >= 1; not simultaneous over T. NaN bounds for n = 1."""
    x = np.asarray(values, dtype=np.float64)
    n, mean = len(x), x.mean(axis=0)
    if n < 2:
        unknown = np.full_like(mean, np.nan)
        return mean, unknown, unknown
    half = float(special.stdtrit(n - 1, (1 + level) / 2)) * spread(x) / np.sqrt(n)
    return mean, mean - half, mean + half


def spread(values: Floats) -> Floats:
    """Sample standard deviation (n - 1) along the first axis, n >= 2; exactly 0 of equal values, whose mean may round to another number."""
    return np.asarray(np.where(np.ptp(values, axis=0) == 0, 0.0, values.std(axis=0, ddof=1)))
