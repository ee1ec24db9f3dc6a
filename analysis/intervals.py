"""Student t intervals: of one mean, and pointwise along a curve. The default band of every figure, since
bootstrap percentile and normal intervals cover far less than they say at the usual 3 to 10 seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special


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


def t_band(values: ArrayLike, level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Pointwise mean, low and high, each (T,), of `values` (n, T), n >= 1; not simultaneous over T. NaN bounds for n = 1."""
    x = np.asarray(values, dtype=np.float64)
    n, mean = len(x), x.mean(axis=0)
    if n < 2:
        unknown = np.full_like(mean, np.nan)
        return mean, unknown, unknown
    half = float(special.stdtrit(n - 1, (1 + level) / 2)) * spread(x) / np.sqrt(n)
    return mean, mean - half, mean + half


def spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sample standard deviation (n - 1) along the first axis, n >= 2; exactly 0 of equal values, whose mean may round to another number."""
    return np.asarray(np.where(np.ptp(values, axis=0) == 0, 0.0, values.std(axis=0, ddof=1)))
