"""One number for many runs on several data sets (Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the
Statistical Precipice"): interquartile mean, probability of improvement and performance profiles.

Each has a function of counts for `analysis.statistics.bootstrap` and a public function that gives the estimate with its interval.
Scores of different data sets are compared as they are: feed differences to the baseline, or metrics of one scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.statistics.arrays import Floats
from analysis.statistics.bootstrap import BootstrapEstimate, Counts, Method, Resampler, Statistic


def iqm(scores: Sequence[ArrayLike], resampler: Resampler, method: Method | None = None) -> BootstrapEstimate:
    """Interquartile mean over all runs of all data sets: the mean without the lowest and the highest quarter.

    Args:
        scores: per data set the runs' scores, shape (n_d,) or (n_d, C) for C columns (strategies, budgets) at once.

    Returns:
        Shape () or (C,), in the score's units. A quarter that is not whole is rounded down, as scipy's trim_mean does.

    Raises:
        ValueError: a score is not finite, or a data set has none.
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
    """Probability that a run of ours scores higher than one of theirs, ties counting half, averaged over data sets; in [0, 1].

    Plain: any run of ours against any run of theirs (Mann-Whitney's U / (n m)), the answer for a new pair of unrelated
    seeds. Paired: the same seed on both sides. Both draw the same seeds for the two. If every run wins, no resample knows of a loss:
    the lower bound is then Clopper & Pearson's (1934) for as many wins out of as many; mirrored if every run loses.

    Args:
        ours, theirs: per data set the runs' scores, shape (n_d,) or (n_d, C) for C strategies at once, row by row the same seed.

    Returns:
        Shape () or (C,).

    Raises:
        ValueError: the two differ in shape, a score is not finite, or a data set has none.
    """
    x, y = _finite(ours), _finite(theirs)
    if [s.shape for s in x] != [s.shape for s in y]:
        raise ValueError(
            f"expected paired scores of one shape per data set, found {[s.shape for s in x]} and {[s.shape for s in y]}"
        )
    statistic = paired_improvement_of(x, y) if paired else improvement_of(x, y)
    return _beyond_the_seen(resampler.estimate(statistic, [len(s) for s in x], method), len(x))


def performance_profile(scores: Sequence[ArrayLike], thresholds: ArrayLike, resampler: Resampler) -> BootstrapEstimate:
    """Share of runs that score above each threshold, averaged over data sets; shape (K,), in [0, 1], falling.

    The run-score distribution of Agarwal et al. 2021, section 4.2. Intervals are pointwise; where all runs or none score above, as in
    `probability_of_improvement`.
    """
    strata = _finite(scores)
    tau = np.asarray(thresholds, dtype=np.float64)
    above = [(s[:, None] > tau).astype(np.float64) for s in strata]
    return _beyond_the_seen(resampler.estimate(mean_of(above), [len(s) for s in strata]), len(strata))


def _beyond_the_seen(found: BootstrapEstimate, strata: int) -> BootstrapEstimate:
    """A share of 0 or 1 with the bound that a bootstrap of equal outcomes cannot give.

    If stratum d has the probability p_d and every one of its n_d runs wins, the mean p of these is at least tail^(1/m) with
    confidence 1 - tail, m the strata times the smallest n_d: the probability of it is at most the product of p_d^(m / strata), hence at most p^m.
    """
    least = ((1 - found.level) / 2) ** (1 / (strata * found.runs))
    low = np.where((found.value == 1) & (found.low == 1), least, found.low)
    high = np.where((found.value == 0) & (found.high == 0), 1 - least, found.high)
    return replace(found, low=low, high=high)


def iqm_of(strata: Sequence[Floats]) -> Statistic:
    """Scores per stratum, (n_d,) or (n_d, C) -> interquartile mean as a function of counts.

    Over the sorted pooled scores x_1 <= ... <= x_m with cumulated counts c_i, cut to K_i = min(max(c_i, lo), hi), the trimmed sum
    is sum_i x_i (K_i - K_{i-1}) = hi x_m - lo x_1 - sum_i K_i (x_{i+1} - x_i): no sorting within resamples.
    """
    pooled = np.concatenate(strata)
    order = np.argsort(pooled, axis=0, kind="stable")

    def statistic(counts: Sequence[Counts]) -> Floats:
        rows = np.ascontiguousarray(np.concatenate(counts, axis=1).T)
        if pooled.ndim == 1:
            return _trimmed_mean(pooled[order], rows, order)
        columns = [_trimmed_mean(pooled[order[:, c], c], rows, order[:, c]) for c in range(pooled.shape[1])]
        return np.stack(columns, axis=1)

    return statistic


def _trimmed_mean(ordered: Floats, rows: Counts, order: NDArray[np.intp]) -> Floats:
    """Middle half of sorted scores (m,) under counts (m, B) of the unsorted ones -> (B,)."""
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
    """Plain probability of improvement as a function of counts: w' M w / (w'1)^2 with M = 1, 1/2 or 0 for every pair of runs."""
    pairs = [_beats(x.T[..., :, None], y.T[..., None, :]) for x, y in zip(ours, theirs, strict=True)]

    def statistic(counts: Sequence[Counts]) -> Floats:
        total: Floats | float = 0.0
        for w, m in zip(counts, pairs, strict=True):
            # counts and halves are exact in single precision up to 2^24, i.e. for fewer than 2800 runs a stratum
            weights = w.astype(np.float32 if w.shape[1] < 2800 else np.float64)
            runs = w.sum(axis=1)
            columns = m.reshape(-1, *m.shape[-2:]).astype(weights.dtype)
            won = np.stack([((weights @ one) * weights).sum(axis=1) for one in columns], axis=1)
            total = total + won / runs[:, None] ** 2
        mean = np.asarray(total / len(pairs))
        return mean if ours[0].ndim > 1 else mean[:, 0]

    return statistic


def paired_improvement_of(ours: Sequence[Floats], theirs: Sequence[Floats]) -> Statistic:
    """Paired probability of improvement as a function of counts."""
    return mean_of([_beats(x, y) for x, y in zip(ours, theirs, strict=True)])


def mean_of(strata: Sequence[Floats]) -> Statistic:
    """Values per stratum, (n_d,) or (n_d, C) -> mean over runs, then over strata, as a function of counts."""

    def statistic(counts: Sequence[Counts]) -> Floats:
        total: Floats | float = 0.0
        for w, x in zip(counts, strata, strict=True):
            runs = w.sum(axis=1).reshape(-1, *[1] * (x.ndim - 1))
            total = total + (w @ x) / runs  # in this order shares are exact: never above 1
        return np.asarray(total / len(strata))

    return statistic


def _beats(x: Floats, y: Floats) -> Floats:
    return np.asarray((x > y) + 0.5 * (x == y), dtype=np.float64)


def _finite(scores: Sequence[ArrayLike]) -> list[Floats]:
    strata = [np.asarray(s, dtype=np.float64) for s in scores]
    if not strata or any(not len(s) or not np.isfinite(s).all() for s in strata):
        raise ValueError("expected finite scores, at least one for every data set, found none, NaN or infinity")
    return strata
