"""Claim: rankings of strategies do not carry over from one data set to another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.across.ranking_stability import kendall
from analysis.across.setting import Setting
from analysis.claims.base import Claim, Finding, common_strategies, jackknife, judge, shared_areas
from analysis.statistics.arrays import Floats

MARGIN: Final = 0.2
"""Loss of Kendall's tau: rankings count as carried over if the whole interval lies below it."""
MOST_SEEDS: Final = 10
"""Largest number of seeds for which every split is visited; with more seeds, splits are drawn."""
DRAWS: Final = 2000
"""Number of splits to draw."""


def agreements(left: Floats, right: Floats, half: int | None = None) -> tuple[float, float]:
    """Compute Kendall's tau-b between rankings by disjoint halves of the seeds.

    Both sides of every comparison are means over equally many, disjoint seeds, so noise lowers both alike.

    Args:
        left, right: scores on two data sets, shape (n, k); the same row is the same seed.
        half: number of seeds on either side of a comparison, by default n // 2. Rankings over fewer seeds agree less,
            so it must be the same wherever agreements are compared.

    Returns:
        Mean tau within a data set (over both), and mean tau between the two; NaN for n < 2.
    """
    half = len(left) // 2 if half is None else half
    if half < 1 or len(left) < 2 * half:
        return float("nan"), float("nan")
    a, b = _halves(len(left), half)
    means = [[x[part].mean(1) for part in (a, b)] for x in (left, right)]
    within = (kendall(means[0][0], means[0][1]) + kendall(means[1][0], means[1][1])) / 2
    between = (kendall(means[0][0], means[1][1]) + kendall(means[0][1], means[1][0])) / 2
    return float(np.nanmean(within)), float(np.nanmean(between))


def _halves(n: int, half: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return two disjoint sets of `half` of n seeds, (splits, half) each: all splits, or `DRAWS` of them."""
    if n > MOST_SEEDS:
        order = np.random.default_rng(n).permuted(np.tile(np.arange(n), (DRAWS, 1)), axis=1)
        return order[:, :half], order[:, half : 2 * half]
    pairs = [
        (a, b) for a in combinations(range(n), half) for b in combinations(sorted({*range(n)} - {*a}), half) if a < b
    ]
    return np.asarray([a for a, _ in pairs]), np.asarray([b for _, b in pairs])


def carried_over(settings: Sequence[Setting]) -> Claim:
    """Judge whether rankings carry over between data sets.

    There is one finding per regime and pair of data sets that share three strategies.
    """
    findings = []
    for regime in dict.fromkeys(s.regime for s in settings):
        for pair in combinations([s for s in settings if s.regime == regime], 2):
            if len(common_strategies(list(pair))) > 2:
                findings.append(_finding(regime, list(pair)))
    rule = (
        "Kendall's tau between rankings by disjoint sets of nearly half the seeds: agreement of a data set with itself"
        " minus agreement with the other, jackknife interval over seeds."
        f" Holds if the interval lies above 0, does not hold if it lies below {MARGIN:g}."
    )
    return Claim(
        "rankings", "Rankings of strategies do not carry over from one data set to another.", rule, tuple(findings)
    )


def _finding(regime: str, pair: list[Setting]) -> Finding:
    names = common_strategies(pair)
    areas = shared_areas([(setting, name) for setting in pair for name in names])
    left, right = areas[:, : len(names)], areas[:, len(names) :]

    # half of the seeds that remain when one is left out, so that all terms of the jackknife use equally many
    half = (len(areas) - 1) // 2

    def lost(rows: NDArray[np.intp]) -> float:
        within, between = agreements(left[rows], right[rows], half)
        return within - between

    value, low, high = jackknife(lost, len(areas))
    within, between = agreements(left, right, half)
    where = f"{regime}: {pair[0].dataset} and {pair[1].dataset}"
    components = {"tau within": within, "tau between": between, "strategies": float(len(names))}
    says = judge(low, high, above=0, below=MARGIN)
    return Finding(where, "agreement lost (Kendall's tau)", value, low, high, says, len(areas), components)
