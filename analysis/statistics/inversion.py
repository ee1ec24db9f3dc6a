"""Invert the exact paired tests: intervals of all differences that a test does not reject, and equivalence.

An interval made this way never contradicts the verdict of its test: it excludes 0 exactly when the test rejects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.statistics.arrays import Floats
from analysis.statistics.hypothesis_tests import ENUMERATED, FLIPS, half_sign_patterns, random_bits

STRICTNESS: Final = 5
"""Equivalence needs a one-sided p of at most alpha / STRICTNESS: at alpha 0.05 the 98 % interval inside the margin.

Plain TOST asks for the 90 % interval. On skewed real differences it errs three times as often as promised; see
CALIBRATION.md.
"""
PARTS: Final = 10
"""Random flips are drawn a tenth at a time, as the test does, which keeps memory small."""
TOGETHER: Final = 32
"""Samples of equal size that are inverted at once."""


@dataclass(frozen=True)
class Inverted:
    """What a test says of every possible true difference.

    Attributes:
        low, high: All differences that the two-sided test does not reject at 1 - level; infinite if n is too small.
        outside: One-sided p of "the difference lies outside (-delta, delta)", the larger of the two sides; 1 if the
            estimate lies outside.
    """

    low: float
    high: float
    outside: float

    @property
    def bounded(self) -> bool:
        """Return whether both ends are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)


UNKNOWN: Final = Inverted(-math.inf, math.inf, 1.0)


def equivalence_p(outside: float) -> float:
    """Return the p of equivalence: STRICTNESS times the one-sided p, at most 1.

    >>> equivalence_p(2.0**-7), equivalence_p(0.5)  # seven seeds are the fewest that can show equivalence at .05
    (0.0390625, 1.0)
    """
    return min(1.0, STRICTNESS * outside)


def excludable_share(n: int, level: float = 0.95) -> float:
    """Return the largest share of seeds with another outcome that n like outcomes cannot exclude.

    If a share s of all seeds collapses, n seeds show none with probability (1 - s)^n. The bound solves
    (1 - s)^n = 1 - level, the one-sided Clopper-Pearson limit of 0 of n.

    >>> [round(excludable_share(n), 2) for n in (0, 5, 10, 20)]
    [1.0, 0.45, 0.26, 0.14]
    """
    return 1.0 if n < 1 else 1 - (1 - level) ** (1 / n)


def invert_sign_flips(
    samples: Sequence[ArrayLike], delta: float, level: float = 0.95, rng: np.random.Generator | None = None
) -> list[Inverted]:
    """Invert the sign-flip test by subset means (Hartigan 1969; Maritz 1979), for several samples.

    The test of a shift m flips the signs of d - m. A flip of the set S reaches the observed sum exactly if m lies
    between the means of S and of its complement, so p(m) counts those intervals; it falls from 1 at the mean.

    Args:
        samples: Differences per comparison, shape (n,) each.
        delta: Margin of equivalence, > 0.
        level: Of the intervals.
        rng: Needed for n > 16. In the state in which `sign_flips` was called it gives the same flips.

    Raises:
        ValueError: n > 16 without `rng`.

    >>> (found,) = invert_sign_flips([[1, 2, 3, 4, 5, 6]], 9)  # 2 of 64 flips: only all signs kept, or all flipped
    >>> found.low, found.high, found.outside == 2.0**-6
    (1.0, 6.0, True)
    """
    arrays = [np.asarray(sample, dtype=np.float64) for sample in samples]
    found: dict[int, Inverted] = {}
    for n in dict.fromkeys(len(d) for d in arrays):
        places = [place for place, d in enumerate(arrays) if len(d) == n]
        if not n:
            found |= dict.fromkeys(places, UNKNOWN)
            continue
        parts = _subsets(n, rng)
        for start in range(0, len(places), TOGETHER):
            some = places[start : start + TOGETHER]
            d = np.stack([arrays[place] for place in some])
            low, high = _ends(parts, d)
            for row, place in enumerate(some):
                found[place] = _read(low[row], high[row], arrays[place], delta, level)
    return [found[place] for place in range(len(arrays))]


def _subsets(n: int, rng: np.random.Generator | None) -> list[np.ndarray]:
    """Return which differences each flip keeps, as 0 and 1, in parts of shape (flips, n)."""
    if n <= ENUMERATED:
        return [((1 - half_sign_patterns(n)) / 2).astype(np.int8)]
    if rng is None:
        raise ValueError(f"expected `rng` for more than {ENUMERATED} differences, found None with n = {n}")
    return [random_bits(FLIPS // PARTS, n, rng).astype(np.int8) for _ in range(PARTS)]


def _ends(parts: Sequence[np.ndarray], d: Floats) -> tuple[Floats, Floats]:
    """Return the smaller and larger of subset and complement mean, shape (samples, flips); infinite for no subset."""
    (samples, n), flips = d.shape, sum(map(len, parts))
    low, high = np.empty((samples, flips)), np.empty((samples, flips))
    start = 0
    for part in parts:
        own = slice(start, start := start + len(part))
        size = part.sum(axis=1, dtype=np.float64)
        whole = (size == 0) | (size == n)
        size[whole] = 1
        sums = d @ part.T.astype(np.float64)
        rest = (d.sum(axis=1, keepdims=True) - sums) / np.maximum(n - size, 1)
        sums /= size
        np.minimum(sums, rest, out=low[:, own])
        np.maximum(sums, rest, out=high[:, own])
        low[:, own][:, whole], high[:, own][:, whole] = -np.inf, np.inf
    return low, high


def _read(low: Floats, high: Floats, d: Floats, delta: float, level: float) -> Inverted:
    simulated = len(d) > ENUMERATED
    total = len(low) + simulated  # the observed signs count as one more flip (Phipson & Smyth 2010)
    allowed = math.floor((1 - level) * total + 1e-9) - simulated
    tolerance = 1e-9 * float(np.abs(d).max())
    ends = (-math.inf, math.inf)
    if allowed >= 0:
        lowest = float(np.partition(low, allowed)[allowed])
        highest = float(np.partition(high, len(high) - 1 - allowed)[len(high) - 1 - allowed])
        ends = _snapped(lowest, tolerance), _snapped(highest, tolerance)
    if abs(float(d.mean())) >= delta:
        return Inverted(*ends, 1.0)
    beyond = max(int((low <= -delta + tolerance).sum()), int((high >= delta - tolerance).sum())) + simulated
    return Inverted(*ends, beyond / total / 2)


def _snapped(value: float, tolerance: float) -> float:
    """Return 0 for a rounding error of 0, so that ties are ties."""
    return 0.0 if abs(value) <= tolerance else value


def invert_signed_rank(differences: ArrayLike, delta: float, level: float = 0.95) -> Inverted:
    """Invert the signed-rank test by Walsh averages (Tukey 1949; Hollander & Wolfe 1999, section 3.3).

    The interval is that of the pseudo-median. Its ends are order statistics of the n (n + 1) / 2 means of pairs; exact
    for differences without ties.

    Args:
        differences: Strategy minus baseline, shape (n,).
        delta: Margin of equivalence, > 0.
        level: Of the interval.

    >>> found = invert_signed_rank([1, 2, 3, 4, 5, 6], 9)
    >>> found.low, found.high, found.outside == 2.0**-6
    (1.0, 6.0, True)
    """
    d = np.asarray(differences, dtype=np.float64)
    if not len(d):
        return UNKNOWN
    walsh, tail = _walsh(d), _signed_rank_cdf(len(d))
    tolerance = 1e-9 * float(np.abs(d).max())
    allowed = int(np.searchsorted(2 * tail, 1 - level + 1e-12, side="right"))
    ends = (-math.inf, math.inf)
    if allowed >= 1:
        ends = _snapped(float(walsh[allowed - 1]), tolerance), _snapped(float(walsh[-allowed]), tolerance)
    if abs(pseudo_median(d)) >= delta:
        return Inverted(*ends, 1.0)
    beyond = max(int((walsh <= -delta + tolerance).sum()), int((walsh >= delta - tolerance).sum()))
    return Inverted(*ends, float(tail[min(beyond, len(tail) - 1)]))


def pseudo_median(differences: ArrayLike) -> float:
    """Return the Hodges-Lehmann estimate, the median of all means of pairs; NaN without differences.

    >>> pseudo_median([0, 0, 9])  # of 0, 0, 0, 4.5, 4.5, 9
    2.25
    """
    d = np.asarray(differences, dtype=np.float64)
    return float(np.median(_walsh(d))) if len(d) else math.nan


def _walsh(d: Floats) -> Floats:
    i, j = np.triu_indices(len(d))
    return np.sort((d[i] + d[j]) / 2)


def _signed_rank_cdf(n: int) -> Floats:
    """Return P(W <= w) of the signed-rank sum without a difference, w = 0 ... n (n + 1) / 2."""
    if n > 60:
        w = np.arange(n * (n + 1) // 2 + 1)
        mean, sd = n * (n + 1) / 4, math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return np.asarray(stats.norm.cdf((w + 0.5 - mean) / sd), dtype=np.float64)
    counts = np.ones(1)
    for rank in range(1, n + 1):
        longer = np.concatenate([counts, np.zeros(rank)])
        longer[rank:] += counts
        counts = longer
    return np.asarray(np.cumsum(counts / 2.0**n), dtype=np.float64)
