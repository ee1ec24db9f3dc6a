"""Compute t intervals of means, and bands of whole curves.

A simultaneous band contains the whole true difference curve with the stated probability. Pointwise 95 % intervals at
many budgets miss the truth at one of them far more often than 1 time in 20.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from analysis.statistics.arrays import Floats

Method = Literal["bonferroni-t", "sup-t"]
FEW = 5
"""Up to this many seeds correlations cannot be estimated: use Bonferroni, which needs none."""
SEED = 1912
"""Seed of the normal draws behind sup-t, so that the same curves give the same band."""


@dataclass(frozen=True)
class Band:
    """Band around the mean at each budget, shape (T,); bounds are NaN for one seed."""

    mean: Floats
    low: Floats
    high: Floats
    method: Method
    critical: float
    n: int


def simultaneous_band(
    values: ArrayLike, level: float = 0.95, method: Method | None = None, resolution: float = 0.0
) -> Band:
    """Compute a simultaneous band for the mean curve, mean ± critical * se.

    Equal values at a budget have no spread, though another seed may differ. Unless a method is requested, the spread of
    such curves is then at least the mean spread over budgets, with Bonferroni's quantile. The first budget is exempt if
    all its values are 0, since strategies start alike. `analysis/CALIBRATION.md` has the coverage.

    Args:
        values: Curves, shape (n, T), n >= 1.
        level: Probability that the whole true mean curve lies inside.
        method: By default bonferroni-t for n <= 5, sup-t for more.
            bonferroni-t: Student's quantile at (1 - level) / T.
            sup-t (Montiel Olea & Plagborg-Moller 2019): the quantile of the largest |t| over budgets. It is simulated
            from curves of n seeds with the observed correlations, each draw studentised by its own spread, because a
            normal limit would be too narrow for n < 50.
        resolution: Least half width at every budget, in the units of the values.

    >>> band = simultaneous_band([[0, 1], [0, 3]])  # t quantile at 1 - .05 / 4, 1 degree of freedom; se 0 and 1
    >>> band.mean.tolist(), round(band.critical, 2), band.low.round(2).tolist()
    ([0.0, 2.0], 25.45, [0.0, -23.45])
    """
    x = np.asarray(values, dtype=np.float64)
    n, budgets = x.shape
    mean, low, high = t_band(x, level)
    sd = spread(x) if n > 1 else np.zeros(budgets)
    alike = np.arange(budgets) == 0
    alike &= ~x.any(axis=0)
    tied = method is None and bool(((sd == 0) & ~alike).any())
    chosen: Method = method or ("bonferroni-t" if n <= FEW or tied else "sup-t")
    if n < 2:
        return Band(mean, low, high, chosen, float("nan"), n)
    critical = float(stats.t.ppf(1 - (1 - level) / (2 * budgets), n - 1))
    if tied:
        sd = np.where(alike, sd, np.maximum(sd, np.sqrt((sd[~alike] ** 2).mean())))
    if chosen == "sup-t" and budgets > 1 and (sd > 0).any():
        critical = min(critical, _sup_t((x - mean)[:, sd > 0] / sd[sd > 0], level))
    half = np.maximum(critical * sd / np.sqrt(n), resolution)
    return Band(mean, mean - half, mean + half, chosen, critical, n)


MANY = 63
"""Beyond this number of seeds, simulated bands save work where they can."""


def _sup_t(standardised: Floats, level: float) -> float:
    n = len(standardised)
    z = (standardised / np.sqrt(n - 1)).astype(np.float32)
    if z.shape[1] < n > MANY:  # z'z = r'r, so that fewer normals give the same distribution
        z = np.linalg.qr(z, mode="r")
        means, products = _moments(n, len(z))
        mean = means @ z
        squares = np.einsum("dkt,kt->dt", products @ z, z)  # of rows with the observed correlation matrix z'z
    else:
        drawn = _normals(n) @ z  # (draws, n, T), rows with that matrix
        mean = drawn.mean(axis=1)
        drawn -= mean[:, None]
        drawn *= drawn  # in place: a second array of this size would cost more than the product of matrices
        squares = drawn.sum(axis=1)
    t = np.abs(mean) / np.sqrt(squares / (n - 1)) * np.sqrt(n)
    return float(np.quantile(t.max(axis=1), level))


@functools.lru_cache(maxsize=4)
def _moments(n: int, kept: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return means (draws, kept) and centred sums of products (draws, kept, kept) of the first of n normals."""
    normals = _normals(n)[:, :, :kept]
    means = normals.mean(axis=1)
    centred = normals - means[:, None]
    return means, centred.transpose(0, 2, 1) @ centred


@functools.lru_cache(maxsize=4)
def _normals(n: int) -> NDArray[np.float32]:
    """Draw standard normals, shape (draws, n, n): fewer for more seeds, 8 MB at most beyond 63."""
    draws = max(500, min(10_000, 2_000_000 // n**2))
    return np.random.default_rng([SEED, n]).standard_normal((draws, n, n), dtype=np.float32)


@dataclass(frozen=True)
class Interval:
    """Mean, two-sided interval, sample standard deviation (n - 1), and n; NaN if n is too small."""

    mean: float
    low: float
    high: float
    sd: float
    n: int


def t_interval(values: ArrayLike, level: float = 0.95, rho: float = 0.0) -> Interval:
    """Compute Student's t interval of the mean.

    Args:
        values: Shape (n,).
        level: Nominal coverage.
        rho: Correlation between values, in [0, 1), which widens the interval (Nadeau & Bengio 2003).

    Returns:
        Bounds are NaN for n < 2, and equal to the mean if all values are equal.

    >>> interval = t_interval([1, 2, 3])  # 2 ± 4.303 / sqrt 3
    >>> round(interval.low, 2), round(interval.high, 2)
    (-0.48, 4.48)
    """
    x = np.asarray(values, dtype=np.float64)
    if not len(x):
        return Interval(float("nan"), float("nan"), float("nan"), float("nan"), 0)
    mean, low, high = (float(v[0]) for v in t_band(x[:, None], level))
    if rho:
        wider = math.sqrt(1 + len(x) * rho / (1 - rho))
        low, high = mean - wider * (mean - low), mean + wider * (high - mean)
    return Interval(mean, low, high, float(spread(x)) if len(x) > 1 else float("nan"), len(x))


def t_band(values: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats, Floats]:
    """Compute pointwise t intervals of the mean curve; not simultaneous over budgets.

    Args:
        values: Curves, shape (n, T), n >= 1.
        level: Nominal coverage at each budget.

    Returns:
        Mean, low and high, shape (T,) each; bounds are NaN for n = 1.

    >>> mean, low, high = t_band([[1, 0], [3, 0]])  # se 1 and 0; t quantile 12.71
    >>> mean.tolist(), low.round(2).tolist()
    ([2.0, 0.0], [-10.71, 0.0])
    """
    x = np.asarray(values, dtype=np.float64)
    n, mean = len(x), x.mean(axis=0)
    if n < 2:
        unknown = np.full_like(mean, np.nan)
        return mean, unknown, unknown
    half = float(special.stdtrit(n - 1, (1 + level) / 2)) * spread(x) / np.sqrt(n)
    return mean, mean - half, mean + half


def spread(values: Floats) -> Floats:
    """Return the sample standard deviation (n - 1) along the first axis, n >= 2.

    It is exactly 0 for equal values, whose mean may round to a different number.

    >>> spread(np.array([[1.0, 0.1], [2.0, 0.1], [3.0, 0.1]])).tolist()
    [1.0, 0.0]
    """
    return np.asarray(np.where(np.ptp(values, axis=0) == 0, 0.0, values.std(axis=0, ddof=1)))
