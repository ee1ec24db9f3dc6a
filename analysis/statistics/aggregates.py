"""Aggregate many runs on several data sets.

The interquartile mean, the probability of improvement and performance profiles are those of Agarwal et al. 2021, "Deep
Reinforcement Learning at the Edge of the Statistical Precipice". Each has a function that returns the estimate with its
interval, and a function of resampling counts (`analysis.statistics.bootstrap`). Scores are not normalised: pass
differences to the baseline, or metrics on one scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.statistics.arrays import Floats
from analysis.statistics.bootstrap import BootstrapEstimate, Counts, Method, Resampler, Statistic

BLOCK = 2_500
"""Resamples whose counts are copied at a time."""


def iqm(scores: Sequence[ArrayLike], resampler: Resampler, method: Method | None = None) -> BootstrapEstimate:
    """Compute the interquartile mean: the mean of all runs without the lowest and highest quarter.

    Args:
        scores: Scores per data set, shape (n_d,), or (n_d, C) for C columns (strategies, budgets) at once.
        resampler: Source of the resamples for the interval.
        method: Interval method; by default the resampler's.

    Returns:
        Shape () or (C,), in the score's units. The quarter is rounded down to whole runs, as in scipy's `trim_mean`.

    Raises:
        ValueError: A score is not finite, or a data set has none.

    >>> from analysis.statistics.bootstrap import Resampler
    >>> float(iqm([[0, 1, 2, 3], [4, 5, 6, 7]], Resampler(np.random.default_rng(0))).value)  # mean of 2, 3, 4, 5
    3.5
    """
    strata = _finite(scores)
    return resampler.estimate(iqm_of(strata), [len(s) for s in strata], method)


def probability_of_improvement(
    ours: Sequence[ArrayLike],
    theirs: Sequence[ArrayLike],
    resampler: Resampler,
    *,
    paired: bool,
    method: Method | None = None,
) -> BootstrapEstimate:
    """Compute the probability that one of our runs scores higher than one of theirs.

    Ties count half. The probability is averaged over data sets. Resamples draw the same seeds on both sides. If every
    run wins, no resample contains a loss: the lower bound is then that of Clopper & Pearson (1934) for n wins out of n;
    the upper bound is mirrored if every run loses.

    Args:
        ours: Scores per data set, shape (n_d,), or (n_d, C) for C strategies at once.
        theirs: Scores of the same shapes; row i has the same seed as row i of `ours`.
        resampler: Source of the resamples for the interval.
        paired: If True, compare runs of the same seed. If False, compare every run of ours with every run of theirs
            (Mann-Whitney's U / (n m)), which is the answer for a new pair of unrelated seeds.
        method: Interval method; by default the resampler's.

    Returns:
        Shape () or (C,), in [0, 1]; above 0.5 means that ours are better.

    Raises:
        ValueError: The shapes differ, a score is not finite, or a data set has none.

    >>> from analysis.statistics.bootstrap import Resampler
    >>> resampler = Resampler(np.random.default_rng(0))
    >>> float(probability_of_improvement([[3, 2, 4]], [[1, 2, 5]], resampler, paired=True).value)  # (1 + 1/2 + 0) / 3
    0.5
    """
    x, y = _finite(ours), _finite(theirs)
    if [s.shape for s in x] != [s.shape for s in y]:
        raise ValueError(
            f"expected paired scores of one shape per data set, found {[s.shape for s in x]} and {[s.shape for s in y]}"
        )
    statistic = paired_improvement_of(x, y) if paired else improvement_of(x, y)
    return _with_exact_bounds(resampler.estimate(statistic, [len(s) for s in x], method), len(x))


def performance_profile(scores: Sequence[ArrayLike], thresholds: ArrayLike, resampler: Resampler) -> BootstrapEstimate:
    """Compute the share of runs that score above each threshold, averaged over data sets.

    This is the run-score distribution of Agarwal et al. 2021, section 4.2. Intervals are pointwise. Where all runs or
    none score above the threshold, bounds are those of `probability_of_improvement`.

    Args:
        scores: Scores per data set, shape (n_d,), or (n_d, C) for C profiles at once.
        thresholds: Shape (K,) or (C, K), increasing.
        resampler: Source of the resamples for the interval.

    Returns:
        Shape (K,) or (C, K), in [0, 1], non-increasing.

    >>> from analysis.statistics.bootstrap import Resampler
    >>> profile = performance_profile([[0.2, 0.6], [0.5, 0.9]], [0.1, 0.55, 0.7], Resampler(np.random.default_rng(0)))
    >>> profile.value.tolist()
    [1.0, 0.5, 0.25]
    """
    strata = _finite(scores)
    tau = np.asarray(thresholds, dtype=np.float64)
    above = [(s[..., None] > tau).astype(np.float64).reshape(len(s), -1) for s in strata]
    found = _with_exact_bounds(resampler.estimate(mean_of(above), [len(s) for s in strata]), len(strata))
    value, low, high, undefined = (x.reshape(tau.shape) for x in (found.value, found.low, found.high, found.undefined))
    return replace(found, value=value, low=low, high=high, undefined=undefined)


def _with_exact_bounds(estimate: BootstrapEstimate, strata: int) -> BootstrapEstimate:
    """Give shares of 0 or 1 the exact bound that a bootstrap of equal outcomes cannot give.

    Let stratum d have probability p_d of a win, and let all of its n_d runs win. With m = (number of strata) *
    min(n_d), the probability of this is at most the product of p_d^(m / strata), hence at most p^m for the mean p of
    the p_d. So p is at least tail^(1/m) with confidence 1 - tail.
    """
    least = ((1 - estimate.level) / 2) ** (1 / (strata * estimate.runs))
    low = np.where((estimate.value == 1) & (estimate.low == 1), least, estimate.low)
    high = np.where((estimate.value == 0) & (estimate.high == 0), 1 - least, estimate.high)
    return replace(estimate, low=low, high=high)


def iqm_of(strata: Sequence[Floats]) -> Statistic:
    """Build the interquartile mean as a function of counts.

    Scores per stratum have shape (n_d,) or (n_d, C).

    Let x_1 <= ... <= x_m be the sorted scores of all strata and c_i their cumulated counts, clipped to
    K_i = min(max(c_i, lo), hi). The trimmed sum is
    sum_i x_i (K_i - K_{i-1}) = hi x_m - lo x_1 - sum_i K_i (x_{i+1} - x_i), so that resamples need no sorting.

    >>> iqm_of([np.array([0.0, 1.0, 2.0, 9.0])])([np.ones((1, 4))]).tolist()  # mean of 1 and 2
    [1.5]
    """
    pooled = np.concatenate(strata)
    order = np.argsort(pooled, axis=0, kind="stable")

    def of(rows: Floats) -> Floats:
        if pooled.ndim == 1:
            return _trimmed_mean(pooled[order], rows, order)
        columns = [_trimmed_mean(pooled[order[:, c], c], rows, order[:, c]) for c in range(pooled.shape[1])]
        return np.stack(columns, axis=1)

    def statistic(counts: Sequence[Counts]) -> Floats:
        blocks = range(0, len(counts[0]), BLOCK)
        parts = (np.concatenate([w[start : start + BLOCK].T for w in counts], dtype=np.float64) for start in blocks)
        return np.concatenate([of(part) for part in parts])

    return statistic


def _trimmed_mean(ordered: Floats, rows: Floats, order: NDArray[np.intp]) -> Floats:
    """Return means of the middle half, (B,), of sorted scores (m,) with unsorted counts (m, B)."""
    total = rows.sum(axis=0)
    low = total // 4
    high = total - low
    reached, kept, lost = np.zeros_like(total), np.empty_like(total), np.zeros_like(total)
    for place, gap in zip(order[:-1], np.diff(ordered), strict=True):
        reached += rows[place]
        if gap > 0:
            np.maximum(reached, low, out=kept)
            np.minimum(kept, high, out=kept)
            kept *= gap
            lost += kept
    return np.asarray((high * ordered[-1] - low * ordered[0] - lost) / (high - low))


def improvement_of(ours: Sequence[Floats], theirs: Sequence[Floats]) -> Statistic:
    """Build the unpaired probability of improvement as a function of counts.

    It is w' M w / (w'1)^2, where M is 1, 1/2 or 0 for a win, tie or loss of each pair of runs.

    >>> improvement_of([np.array([1.0, 3.0])], [np.array([0.0, 2.0])])([np.ones((1, 2))]).tolist()  # 3 of 4 pairs
    [0.75]
    """
    pairs = [_beats(x.T[..., :, None], y.T[..., None, :]) for x, y in zip(ours, theirs, strict=True)]

    def statistic(counts: Sequence[Counts]) -> Floats:
        total: Floats | float = 0.0
        for w, m in zip(counts, pairs, strict=True):
            # counts and halves are exact in single precision up to 2^24, i.e. for fewer than 2800 runs per stratum
            weights = w.astype(np.float32 if w.shape[1] < 2800 else np.float64, copy=False)
            runs = w.sum(axis=1, dtype=np.float64)
            columns = m.reshape(-1, *m.shape[-2:]).astype(weights.dtype)
            won = np.stack([((weights @ one) * weights).sum(axis=1) for one in columns], axis=1)
            total = total + won / runs[:, None] ** 2
        mean = np.asarray(total / len(pairs))
        return mean if ours[0].ndim > 1 else mean[:, 0]

    return statistic


def paired_improvement_of(ours: Sequence[Floats], theirs: Sequence[Floats]) -> Statistic:
    """Build the paired probability of improvement as a function of counts.

    >>> paired_improvement_of([np.array([1.0, 3.0])], [np.array([0.0, 4.0])])([np.ones((1, 2))]).tolist()  # 1 of 2
    [0.5]
    """
    return mean_of([_beats(x, y) for x, y in zip(ours, theirs, strict=True)])


def mean_of(strata: Sequence[Floats]) -> Statistic:
    """Build the mean over runs, then over strata, as a function of counts.

    Values per stratum have shape (n_d,) or (n_d, C).

    >>> mean_of([np.array([1.0, 3.0])])([np.array([[1.0, 1.0], [2.0, 0.0]])]).tolist()  # the second: 1 drawn twice
    [2.0, 1.0]
    """

    def statistic(counts: Sequence[Counts]) -> Floats:
        total: Floats | float = 0.0
        for w, x in zip(counts, strata, strict=True):
            runs = w.sum(axis=1, dtype=np.float64).reshape(-1, *[1] * (x.ndim - 1))
            total = total + (w @ x) / runs  # in this order shares are exact: never above 1
        return np.asarray(total / len(strata))

    return statistic


def _beats(x: Floats, y: Floats) -> Floats:
    return np.asarray((x > y) + 0.5 * (x == y), dtype=np.float64)


def _finite(scores: Sequence[ArrayLike]) -> list[Floats]:
    strata = [np.asarray(s, dtype=np.float64) for s in scores]
    if not strata or any(not len(s) or not np.isfinite(s).all() for s in strata):
        raise ValueError("expected finite scores, at least one per data set, found none, NaN or infinity")
    return strata
