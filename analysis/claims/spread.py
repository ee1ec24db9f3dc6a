"""Claim: a regime shrinks the differences between strategies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.across.setting import Setting
from analysis.claims.base import Claim, Finding, common_strategies, jackknife, judge, shared_areas
from analysis.statistics.arrays import Floats


def variance_between(scores: Floats) -> float:
    """Estimate the variance between the strategies' expected scores without bias; it may be negative.

    This is the variance of the strategies' means over seeds, minus the part due to noise: the residual mean square of
    the two-way layout divided by n.

    Args:
        scores: (n seeds, k strategies), paired by row; n, k >= 2.
    """
    n, k = scores.shape
    residual = scores - scores.mean(0) - scores.mean(1, keepdims=True) + scores.mean()
    noise = float((residual**2).sum()) / ((n - 1) * (k - 1))
    return float(scores.mean(0).var(ddof=1) - noise / n)


def shrinking(settings: Sequence[Setting], base: str, other: str, statement: str) -> Claim:
    """Judge whether strategies lie closer together under regime `other` than under `base`.

    There is one finding per data set.

    Args:
        settings: any number of data sets; those that have both regimes are judged.
        base, other: names of the two regimes.
        statement: the claim in words.
    """
    cells = {(s.dataset, s.regime): s for s in settings}
    findings = []
    for dataset in dict.fromkeys(s.dataset for s in settings):
        pair = [cells[key] for regime in (base, other) if (key := (dataset, regime)) in cells]
        if len(pair) == 2 and len(common_strategies(pair)) > 1:
            findings.append(_finding(dataset, pair))
    rule = (
        "Variance between the strategies' expected areas under the budget curve, noise removed; difference between the"
        " regimes, jackknife interval over seeds. Holds if the interval lies above 0, does not hold if it lies below."
    )
    return Claim("spread", statement, rule, tuple(findings))


def _finding(dataset: str, pair: list[Setting]) -> Finding:
    names = common_strategies(pair)
    areas = shared_areas([(setting, name) for setting in pair for name in names]) * 100
    before, after = areas[:, : len(names)], areas[:, len(names) :]

    def fall(rows: NDArray[np.intp]) -> float:
        return variance_between(before[rows]) - variance_between(after[rows]) if len(rows) > 1 else float("nan")

    value, low, high = jackknife(fall, len(areas))
    components = {
        f"spread, {s.regime}": float(np.sqrt(max(0.0, variance_between(x))))
        for s, x in zip(pair, (before, after), strict=True)
    }
    what = "fall of the variance between strategies (square points)"
    return Finding(dataset, what, value, low, high, judge(low, high, above=0, below=0), len(areas), components)
