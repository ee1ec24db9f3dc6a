"""Labels needed to reach a target, and labels saved against the baseline (Beck et al. 2021).

L(tau) is the smallest budget at which the mean curve over seeds, made monotone by its running maximum, reaches tau. It
is linear between budgets and never extrapolated. A target below the first point is left-censored: L is at most the
first budget. A target that is never reached is right-censored: L is more than the last budget, and infinite here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.across.setting import Setting
from analysis.statistics.area import DECIMALS
from analysis.statistics.arrays import Floats
from analysis.statistics.bootstrap import Counts, Resampler

Censored = Literal["no", "left", "right"]


@dataclass(frozen=True)
class LabelsSaved:
    """Labels that one strategy saves at one target; positive savings and efficiencies above 1 are good.

    Attributes:
        target: tau, in the metric's units.
        labels, baseline_labels: L(tau) of the two; infinite if never reached, the first budget if left-censored.
        saved: baseline_labels - labels. A lower bound if the strategy is left-censored, an upper bound if the baseline
            is; -infinity if only the strategy never reaches the target, NaN if neither does.
        efficiency: baseline_labels / labels (label efficiency of Beck et al. 2021), bounded in the same way.
        censored, baseline_censored: how L(tau) is censored on the mean curves.
        resamples_left, resamples_right: shares of resamples in which the strategy's L(tau) is left- or right-censored.
        undefined: share of resamples in which neither reaches the target; the interval is over the others.
        n: number of paired seeds.
    """

    target: float
    labels: float
    baseline_labels: float
    saved: float
    saved_low: float
    saved_high: float
    efficiency: float
    efficiency_low: float
    efficiency_high: float
    censored: Censored
    baseline_censored: Censored
    resamples_left: float
    resamples_right: float
    undefined: float
    n: int


def labels_to_reach(budgets: ArrayLike, values: ArrayLike, targets: ArrayLike) -> tuple[Floats, NDArray[np.int8]]:
    """Compute L(tau) of curves, and how it is censored.

    Args:
        budgets: labels, shape (T,), increasing.
        values: mean curves, shape (..., T).
        targets: targets, shape (K,), or (..., K) for separate targets of each curve.

    Returns:
        Labels, shape (..., K): the first budget if left-censored, infinite if right-censored. And -1, 0 or 1 for
        left-censored, reached, right-censored. A target equal to the first point is reached there, not censored.
    """
    b = np.asarray(budgets, dtype=np.float64)
    curve = np.maximum.accumulate(np.asarray(values, dtype=np.float64), axis=-1)
    tau = np.broadcast_to(np.asarray(targets, dtype=np.float64), (*curve.shape[:-1], np.shape(targets)[-1]))
    after = np.zeros(tau.shape, dtype=np.intp)
    for t in range(len(b)):
        after += curve[..., t, None] < tau
    right = np.clip(after, 1, max(len(b) - 1, 1)) if len(b) > 1 else np.zeros_like(after)
    left = np.maximum(right - 1, 0)
    high, low = np.take_along_axis(curve, right, axis=-1), np.take_along_axis(curve, left, axis=-1)
    rise = np.where(high > low, high - low, 1.0)
    labels = b[left] + (tau - low) / rise * (b[right] - b[left])
    labels = np.where(after == 0, b[0], np.where(after == len(b), np.inf, labels))
    censored = np.where(after == len(b), 1, np.where(tau < curve[..., :1], -1, 0))
    return labels, censored.astype(np.int8)


def target_grid(curve: ArrayLike, count: int = 5) -> Floats:
    """Return `count` equally spaced targets from a mean curve's first point, left out, to its best point.

    A flat curve gives no targets.

    Args:
        curve: mean curve of the baseline, shape (T,).
        count: number of targets.
    """
    best = np.maximum.accumulate(np.asarray(curve, dtype=np.float64))
    return np.linspace(best[0], best[-1], count + 1)[1:] if best[-1] > best[0] else np.empty(0)


def labels_saved(
    setting: Setting, strategy: str, baseline: str, resampler: Resampler, targets: Sequence[float] | None = None
) -> tuple[LabelsSaved, ...]:
    """Compute the labels that a strategy saves at each target, with percentile intervals.

    Intervals are over resamples of the seeds that the strategy shares with the baseline.

    Args:
        setting: curves of one data set under one regime.
        strategy, baseline: names of the two strategies.
        resampler: source of resamples.
        targets: targets in the metric's units; by default `target_grid` of the baseline's mean curve over shared seeds.

    Returns:
        One row per target, ascending; none if no seed is shared or the baseline is flat.
    """
    ours, theirs = setting.paired(strategy, baseline)
    n = len(ours)
    if not n:
        return ()
    tau = target_grid(theirs.mean(axis=0)) if targets is None else np.asarray(targets, dtype=np.float64)
    # rounded like the curves below, so that the baseline reaches its own best value
    tau = np.unique(np.round(tau, DECIMALS))
    if not len(tau):
        return ()

    def both(counts: Counts) -> tuple[Floats, Floats, NDArray[np.int8], NDArray[np.int8]]:
        (a, a_cut), (r, r_cut) = (
            labels_to_reach(setting.budgets, np.round(counts @ x / n, DECIMALS), tau) for x in (ours, theirs)
        )
        return a, r, a_cut, r_cut

    a, r, a_cut, r_cut = (x[0] for x in both(np.ones((1, n))))
    drawn_a, drawn_r, drawn_cut, _ = both(resampler.counts([n])[0])
    saved = resampler.percentile(minus(r, a), minus(drawn_r, drawn_a), [n])
    ratio = resampler.percentile(_over(r, a), _over(drawn_r, drawn_a), [n])
    names: dict[int, Censored] = {-1: "left", 0: "no", 1: "right"}
    return tuple(
        LabelsSaved(
            float(tau[k]),
            float(a[k]),
            float(r[k]),
            *saved.at(k),
            *ratio.at(k),
            censored=names[int(a_cut[k])],
            baseline_censored=names[int(r_cut[k])],
            resamples_left=float((drawn_cut[:, k] == -1).mean()),
            resamples_right=float((drawn_cut[:, k] == 1).mean()),
            undefined=float(saved.undefined[k]),
            n=n,
        )
        for k in range(len(tau))
    )


def minus(x: Floats, y: Floats) -> Floats:
    """Return the difference of labels; NaN where both are infinite."""
    with np.errstate(invalid="ignore"):
        return np.asarray(x - y)


def _over(x: Floats, y: Floats) -> Floats:
    """Return the ratio of labels: infinite if budgets begin at 0 and no label is needed, NaN if neither needs any."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(x / y)
