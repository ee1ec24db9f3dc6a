"""What each lever is worth: augmentation, semi-supervision, pretraining, and each strategy within its regime.

The yardstick is the baseline strategy under the base regime. A regime's gain is the baseline strategy's metric under it
minus that under the base regime at the same budget; a strategy's gain is its metric minus the baseline strategy's within
its regime. Both are given in points (the metric's units) and in labels worth: how many more labels the yardstick needs for
the same rise of its (monotone, mean) curve.
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
    """One lever at one budget.

    Attributes:
        lever: regime or strategy.
        name: of the regime or strategy pulled; `regime` is the regime it is pulled in.
        points, low, high: mean paired difference over seeds and its 95 % t interval, each for itself.
        labels_worth: yardstick's labels for the metric with the lever minus those for the metric without it; infinite if the
            yardstick never gets there (then `at_least` bounds it), NaN if it reaches neither.
        worth_low, worth_high: percentile interval over joint resamples of the seeds.
        at_least: lower bound in labels, from the yardstick's last budget; equals labels_worth where that is finite.
        undefined: share of resamples in which labels worth is NaN.
        n: seeds shared by the cells.
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
    """Every lever at every budget, data set by data set.

    Args:
        settings: any number of data sets and regimes.
        baseline: the strategy that every regime is compared by.
        base: base regime; by default the first setting's. Data sets without it, or without the baseline in it, have no yardstick
            and are left out.

    Raises:
        ValueError: two settings share data set and regime, so that a lever would not be the only change.
    """
    cells = {(s.dataset, s.regime): s for s in settings}
    if len(cells) < len(settings):
        raise ValueError(
            "expected one protocol for each data set and regime, found several: levers would not be the only change"
        )
    base = settings[0].regime if base is None and settings else base
    found: list[Lever] = []
    for (dataset, regime), cell in cells.items():
        yardstick = cells.get((dataset, str(base)))
        if yardstick is None or baseline not in yardstick.curves or baseline not in cell.curves:
            continue
        if regime != base:
            found += _pull(
                "regime", regime, _Cells(cell, baseline, yardstick, baseline, yardstick, baseline), resampler
            )
        for strategy in cell.curves:
            if strategy != baseline:
                found += _pull(
                    "strategy", strategy, _Cells(cell, strategy, cell, baseline, yardstick, baseline), resampler
                )
    return tuple(found)


@dataclass(frozen=True)
class _Cells:
    """With the lever, without it, and the yardstick: each a setting and a strategy."""

    with_: Setting
    strategy: str
    without: Setting
    other: str
    yardstick: Setting
    baseline: str

    def curves(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Shared budgets (T,), curves with and without the lever at those, the yardstick's curves at its own, by shared seeds."""
        sides = ((self.with_, self.strategy), (self.without, self.other), (self.yardstick, self.baseline))
        seeds = sorted(set.intersection(*({*setting.seeds[name]} for setting, name in sides)))
        budgets = np.intersect1d(self.with_.budgets, self.without.budgets)
        picked = [_at(setting.seeds, setting.curves, name, seeds) for setting, name in sides]
        at = (np.isin(setting.budgets, budgets) for setting, _ in sides[:2])
        return budgets, picked[0][:, next(at)], picked[1][:, next(at)], picked[2]


def _at(seeds: Mapping[str, tuple[int, ...]], values: Mapping[str, Floats], name: str, wanted: Sequence[int]) -> Floats:
    return values[name][np.searchsorted(seeds[name], wanted).astype(np.intp)]


def _pull(kind: Literal["regime", "strategy"], name: str, cells: _Cells, resampler: Resampler) -> list[Lever]:
    budgets, ours, theirs, yard = cells.curves()
    n = len(ours)
    if not n or not len(budgets):
        return []
    scale = cells.yardstick.budgets

    def worth(counts: Counts) -> tuple[Floats, Floats]:
        # rounded: sums of the same numbers may differ in the last bit, and the yardstick must reach its own last point
        curve, with_, other = (np.round(counts @ x / n, DECIMALS) for x in (yard, ours, theirs))
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
