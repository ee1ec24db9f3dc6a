"""Claim: semi-supervision gains much, and strategies add little to it."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.across.setting import Setting
from analysis.claims.base import Claim, Finding, Judgement, common_strategies, shared_areas
from analysis.statistics.arrays import Floats
from analysis.statistics.intervals import Interval, t_interval


def semi_supervision(settings: Sequence[Setting], supervised: str, semi: str, baseline: str, margin: float) -> Claim:
    """Judge whether semi-supervision gains much and strategies little.

    There is one finding per data set and strategy.

    Args:
        settings: any number of data sets; those that have both regimes are judged.
        supervised, semi: names of the two regimes.
        baseline: name of the strategy to compare to under `semi`.
        margin: gains above it count as large and gains below it as small, in the metric's units.
    """
    cells = {(s.dataset, s.regime): s for s in settings}
    findings = []
    for dataset in dict.fromkeys(s.dataset for s in settings):
        pair = [cells[key] for regime in (supervised, semi) if (key := (dataset, regime)) in cells]
        if len(pair) == 2:
            findings += [
                _finding(dataset, pair, name, baseline, margin) for name in common_strategies(pair) if name != baseline
            ]
    rule = (
        "Two paired differences in area under the budget curve with 95 % t intervals:"
        " the strategy with semi-supervision minus the strategy without,"
        f" and minus {baseline} with it. Holds if the first interval lies above"
        f" {margin * 100:g} points and the second below; does not hold if the first lies below or the second above."
    )
    statement = (
        "A strategy with semi-supervision is far above the strategy without,"
        f" but hardly above {baseline} with semi-supervision."
    )
    return Claim("semi-supervision", statement, rule, tuple(findings))


def _finding(dataset: str, pair: list[Setting], name: str, baseline: str, margin: float) -> Finding:
    plain, semi = pair
    areas: Floats = shared_areas([(semi, name), (plain, name), (semi, baseline)]) * 100
    far, hardly = t_interval(areas[:, 0] - areas[:, 1]), t_interval(areas[:, 0] - areas[:, 2])
    components = {"over supervised": far.mean, "from": far.low, "to": far.high}
    what = f"over {baseline} with semi-supervision (points)"
    says = _says(far, hardly, margin * 100)
    return Finding(f"{dataset}, {name}", what, hardly.mean, hardly.low, hardly.high, says, len(areas), components)


def _says(far: Interval, hardly: Interval, margin: float) -> Judgement:
    if far.high < margin or hardly.low > margin:
        return "does not hold"
    return "holds" if far.low > margin and hardly.high < margin else "undecided"
