"""Effects of augmentation, semi-supervision, pretraining, and strategies within a regime.

A factor is a regime or a strategy. The gain of a regime is the metric of the baseline strategy under it minus that
under the base regime, at the same budget. The gain of a strategy is its metric minus that of the baseline strategy,
within its regime. Both are given in points (the metric's units) and in equivalent extra labels: how many more labels
the reference curve, the baseline strategy under the base regime, needs for the same rise of its monotone mean curve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.across.labels_saved import labels_to_reach, minus
from analysis.across.setting import Setting
from analysis.statistics.area import DECIMALS
from analysis.statistics.arrays import Floats
from analysis.statistics.bootstrap import Counts, Resampler
from analysis.statistics.intervals import t_band


@dataclass(frozen=True)
class Lever:
    """Effect of one factor at one budget.

    Attributes:
        dataset: data set.
        lever: kind of the factor, regime or strategy.
        name: name of the regime or strategy.
        regime: regime in which the factor is applied.
        budget: labels.
        points, low, high: mean paired difference over seeds and its 95 % t interval, not adjusted for multiple
            comparisons.
        labels_worth: equivalent extra labels: labels of the reference curve for the metric with the factor minus those
            for the metric without it. Infinite if the reference curve never reaches the former (then `at_least` bounds
            it), NaN if it reaches neither.
        worth_low, worth_high: percentile interval over joint resamples of the seeds.
        at_least: lower bound of the labels, from the last budget of the reference curve; equals labels_worth if finite.
        undefined: share of resamples in which labels_worth is NaN.
        n: number of seeds that the curves share.
    """

    dataset: str
    lever: Literal["regime", "strategy"]
    name: str
    regime: str
    budget: int
    points: float
    low: float
    high: float
    labels_worth: float
    worth_low: float
    worth_high: float
    at_least: float
    undefined: float
    n: int


def levers(
    settings: Sequence[Setting], baseline: str, resampler: Resampler, base: str | None = None
) -> tuple[Lever, ...]:
    """Compute the effect of every factor at every budget, data set by data set.

    Args:
        settings: curves of any number of data sets and regimes.
        baseline: name of the strategy with which regimes are compared.
        resampler: source of resamples.
        base: base regime, by default that of the first setting. Data sets without it, or without the baseline in it,
            have no reference curve and are left out.

    Raises:
        ValueError: two settings share data set and regime, so that a factor would not be the only change.
    """
    cells = {(s.dataset, s.regime): s for s in settings}
    if len(cells) < len(settings):
        raise ValueError(
            "expected one protocol per data set and regime, found several: a factor would not be the only change"
        )
    base = settings[0].regime if base is None and settings else base
    effects: list[Lever] = []
    for (dataset, regime), cell in cells.items():
        reference = cells.get((dataset, str(base)))
        if reference is None or baseline not in reference.curves or baseline not in cell.curves:
            continue
        if regime != base:
            effects += _effects(
                "regime", regime, _Cells(cell, baseline, reference, baseline, reference, baseline), resampler
            )
        for strategy in cell.curves:
            if strategy != baseline:
                effects += _effects(
                    "strategy", strategy, _Cells(cell, strategy, cell, baseline, reference, baseline), resampler
                )
    return tuple(effects)


@dataclass(frozen=True)
class _Cells:
    """Curves with the factor, without it, and for reference: each a setting and a strategy."""

    with_: Setting
    strategy: str
    without: Setting
    other: str
    reference: Setting
    baseline: str

    def curves(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Return the shared budgets, curves with and without the factor there, and the reference curves.

        The rows of all curves are the shared seeds; reference curves keep their own budgets.
        """
        sides = ((self.with_, self.strategy), (self.without, self.other), (self.reference, self.baseline))
        seeds = sorted(set.intersection(*({*setting.seeds[name]} for setting, name in sides)))
        budgets = np.intersect1d(self.with_.budgets, self.without.budgets)
        picked = [_at(setting.seeds, setting.curves, name, seeds) for setting, name in sides]
        at = (np.isin(setting.budgets, budgets) for setting, _ in sides[:2])
        return budgets, picked[0][:, next(at)], picked[1][:, next(at)], picked[2]


def _at(seeds: Mapping[str, tuple[int, ...]], values: Mapping[str, Floats], name: str, shared: Sequence[int]) -> Floats:
    return values[name][np.searchsorted(seeds[name], shared).astype(np.intp)]


def _effects(kind: Literal["regime", "strategy"], name: str, cells: _Cells, resampler: Resampler) -> list[Lever]:
    budgets, ours, theirs, reference = cells.curves()
    n = len(ours)
    if not n or not len(budgets):
        return []
    scale = cells.reference.budgets

    def worth(counts: Counts) -> tuple[Floats, Floats]:
        # rounded, since sums of the same numbers may differ in the last bit and a curve must reach its own last point
        curve, with_, other = (np.round(counts @ x / n, DECIMALS) for x in (reference, ours, theirs))
        reached, _ = labels_to_reach(scale, curve, with_)
        without = (
            np.broadcast_to(budgets, reached.shape) if kind == "regime" else labels_to_reach(scale, curve, other)[0]
        )
        return minus(reached, without), minus(np.minimum(reached, scale[-1]), without)

    value, bound = (x[0] for x in worth(np.ones((1, n))))
    spread = resampler.percentile(value, worth(resampler.counts([n])[0])[0], [n])
    mean, low, high = t_band(np.round(ours - theirs, DECIMALS))
    return [
        Lever(
            dataset=cells.with_.dataset,
            lever=kind,
            name=name,
            regime=cells.with_.regime,
            budget=int(budget),
            points=float(mean[t]),
            low=float(low[t]),
            high=float(high[t]),
            labels_worth=float(value[t]),
            worth_low=float(spread.low[t]),
            worth_high=float(spread.high[t]),
            at_least=float(bound[t]) if np.isfinite(bound[t]) else float("nan"),
            undefined=float(spread.undefined[t]),
            n=n,
        )
        for t, budget in enumerate(budgets)
    ]
