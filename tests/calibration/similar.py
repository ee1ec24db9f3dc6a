"""Measure bands of strategies that hardly differ, and looks of t tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy import stats

from analysis.statistics.alpha_spending import Spending, levels_at_looks, nominal_levels
from analysis.statistics.arrays import Floats
from analysis.statistics.intervals import FEW, Band, simultaneous_band

IMAGES: Final = 200
BUDGETS: Final = 10
DIFFERENT: Final = (1 / 500, 1 / 200, 1 / 100, 1 / 55)
"""Shares of test images on which two strategies of the same accuracy give different answers."""
BAND_NS: Final = (3, 5, 10, 20)
LOOKS: Final[tuple[tuple[int, ...], ...]] = ((5, 10), (3, 6, 9, 12), (5, 10, 15, 20))
SPENDINGS: Final[tuple[Spending, ...]] = ("pocock", "obrien-fleming")
ALPHA: Final = 0.05


def differences(n: int, share: float, rng: np.random.Generator) -> Floats:
    """Draw differences in accuracy of equally good strategies, shape (n, T): most are 0, all are multiples of 1/200."""
    won, lost = rng.binomial(IMAGES, share / 2, (2, n, BUDGETS))
    return np.asarray((won - lost) / IMAGES, dtype=np.float64)


def bare(d: Floats) -> Band:
    """Return the band without a rule for tied budgets."""
    return simultaneous_band(d, method="bonferroni-t" if len(d) <= FEW else "sup-t")


def used(d: Floats) -> Band:
    """Return the band as drawn, with the metric's resolution."""
    return simultaneous_band(d, resolution=1 / IMAGES)


def bands(studies: int) -> list[str]:
    """Measure and return the lines of the section on similar strategies."""
    lines = [
        "## Bands of similar strategies",
        "",
        f"{IMAGES} test images, {BUDGETS} budgets, {studies} studies a cell. The worst of {len(DIFFERENT)} shares of images "
        f"with different answers, 1 in {1 / DIFFERENT[0]:.0f} to 1 in {1 / DIFFERENT[-1]:.0f}.",
        "",
        f"| nominal .95, no less | {' | '.join(f'n = {n}' for n in BAND_NS)} |",
        f"|---|{'---|' * len(BAND_NS)}",
    ]
    names = {"as drawn, *default*": used, "tried: no rule for tied budgets": bare}
    for name, make in names.items():
        worst = [min(_coverage(make, n, share, studies) for share in DIFFERENT) for n in BAND_NS]
        lines.append(f"| {name} | {' | '.join(_covers(rate, studies) for rate in worst)} |")
    return lines


def _coverage(make: Callable[[Floats], Band], n: int, share: float, studies: int) -> float:
    rng = np.random.default_rng([2008, n])
    found = [make(differences(n, share, rng)) for _ in range(studies)]
    return float(np.mean([((band.low <= 0) & (band.high >= 0)).all() for band in found]))


def _covers(rate: float, studies: int) -> str:
    error = float(np.sqrt(max(rate * (1 - rate), ALPHA * (1 - ALPHA)) / studies))
    text = f"{rate:.3f} ± {error:.3f}"
    return f"**{text}**" if rate < 1 - ALPHA - 3 * error else text


def looks(studies: int) -> list[str]:
    """Measure and return the lines of the section on interim looks."""
    error = float(np.sqrt(ALPHA * (1 - ALPHA) / studies))
    lines = [
        "## Interim looks of t tests",
        "",
        f"{studies} studies a row, standard error {error:.4f}. *Tried*: the levels of normal statistics.",
        "",
        "| looks at seeds | spending | levels as used | tried: normal levels |",
        "|---|---|---|---|",
    ]
    for design in LOOKS:
        p = _p_at_looks(design, studies)
        for spending in SPENDINGS:
            rates = [
                float((p <= np.array(levels(design, spending, ALPHA))).any(axis=1).mean())
                for levels in (levels_at_looks, nominal_levels)
            ]
            cells = (f"**{r:.4f}**" if r > ALPHA + 3 * error else f"{r:.4f}" for r in rates)
            lines.append(f"| {', '.join(map(str, design))} | {spending} | {' | '.join(cells)} |")
    return lines


def _p_at_looks(design: tuple[int, ...], studies: int) -> Floats:
    """Return two-sided p of t tests without a difference at each look, shape (studies, looks)."""
    d = np.random.default_rng([2009, *design]).normal(size=(studies, design[-1]))
    return np.stack([stats.ttest_1samp(d[:, :n], 0, axis=1).pvalue for n in design], axis=1)
