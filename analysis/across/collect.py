"""Everything that needs several data sets or regimes, gathered from one table of curves. All of it is secondary:
the verdicts of `analysis.verdict.decide` are the primary answer, and nothing here changes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from analysis.across.gains import all_gains
from analysis.across.labels_saved import LabelsSaved, labels_saved
from analysis.across.levers import Lever, levers
from analysis.across.mixed_models import CrossedEffect, Growth, crossed, growth
from analysis.across.penalty_matrix import PenaltyMatrix, penalty_matrix
from analysis.across.rank_tables import rank_tables
from analysis.across.ranking_stability import Agreement, SeedAgreement, agreement, seed_agreement
from analysis.across.result import Across, Saved
from analysis.across.setting import Setting, competing_settings
from analysis.loading.curves import Curves
from analysis.statistics.arrays import Floats
from analysis.statistics.bootstrap import Resampler

RESAMPLES: Final = 10_000
"""Of the bootstrap over all settings; `LABEL_RESAMPLES` of the many intervals of labels and levers, each within one data set."""
LABEL_RESAMPLES: Final = 2_000
LEAST_RUNS: Final = 6
"""Seeds below which what is read off curves of one data set has no bootstrap interval: no resample lies beyond the extremes."""
GROWTH_RUNS: Final = 500
"""Runs up to which the mixed model is fitted here: statsmodels visits every curve in every step."""


def across(
    curves: Curves, rng: np.random.Generator, resamples: int = RESAMPLES, *, alone: bool = False
) -> Across | None:
    """All statistics over data sets and regimes that the table allows; None with a single data set under a single regime.

    Args:
        rng: of the bootstrap and the draws of seeds.
        alone: a single data set under a single regime is enough: labels, penalties and stability mean something there, too.
    """
    notes: list[str] = []
    tables = rank_tables(curves, notes)
    if curves.unit == "data set":
        if not tables:
            return None
        datasets = tuple(dict.fromkeys(d for t in tables for d in t.datasets))
        notes.append("one value per data set: nothing that needs seeds or budgets applies")
        regimes = tuple(t.regime for t in tables)
        return Across(curves.baseline, datasets, regimes, resamples, tables, notes=tuple(notes))
    found = competing_settings(curves)
    if len({(s.dataset, s.regime) for s in found}) < (1 if alone else 2):
        return None
    resampler = Resampler(rng, min(resamples, LABEL_RESAMPLES), method="expanded")
    others = [s for s in curves.competitors if s != curves.baseline]
    paired = curves.paired
    if not paired:
        notes.append("unpaired analysis: everything that pairs seeds is left out")
    return Across(
        baseline=curves.baseline,
        datasets=tuple(dict.fromkeys(s.dataset for s in found)),
        regimes=tuple(dict.fromkeys(s.regime for s in found)),
        resamples=resamples,
        ranks=tables,
        gains=all_gains(others, curves.baseline, found, Resampler(rng, resamples, method="expanded")) if paired else (),
        penalties=_penalties(curves, found) if paired else (),
        agreement=_agreement(curves.competitors, found),
        seeds=tuple(row for s in found for row in _seed_rows(curves.competitors, s, rng)) if paired else (),
        labels=_labels(curves.baseline, found, resampler, notes) if paired else (),
        levers=_levers(curves.baseline, found, resampler, notes) if paired else (),
        growth=_growth(others, curves, found, notes) if paired else (),
        crossed=_crossed(curves, found, notes) if paired else (),
        notes=tuple(notes),
    )


def _penalties(curves: Curves, found: Sequence[Setting]) -> tuple[PenaltyMatrix, ...]:
    return tuple(penalty_matrix(found, curves.competitors, curves.baseline, d) for d in ("ash-2020", "lueth-2023"))


def _agreement(strategies: Sequence[str], found: Sequence[Setting]) -> tuple[Agreement, ...]:
    """Between data sets within each regime, and between regimes within each data set, over the strategies that all have."""
    rows: list[Agreement] = []

    def compare(group: Sequence[Setting], name: Callable[[Setting], str]) -> tuple[list[str], list[Floats]]:
        shared = [s for s in strategies if all(s in part.curves for part in group)]
        return [name(part) for part in group], [
            np.array([part.area(s).mean() for s in shared]) for part in group
        ] if len(shared) > 1 else []

    for regime in dict.fromkeys(s.regime for s in found):
        names, scores = compare([s for s in found if s.regime == regime], lambda s: s.dataset)
        rows += agreement("data sets", regime, names, scores) if scores else ()
    for dataset in dict.fromkeys(s.dataset for s in found):
        names, scores = compare([s for s in found if s.dataset == dataset], lambda s: s.regime)
        rows += agreement("regimes", dataset, names, scores) if scores else ()
    return tuple(rows)


def _seed_rows(strategies: Sequence[str], setting: Setting, rng: np.random.Generator) -> tuple[SeedAgreement, ...]:
    names = [s for s in strategies if s in setting.curves]
    shared = set.intersection(*({*setting.seeds[s]} for s in names))
    if len(names) < 2 or len(shared) < 2:
        return ()
    kept = [setting.area(s)[[seed in shared for seed in setting.seeds[s]]] for s in names]
    return seed_agreement(setting.protocol, np.stack(kept, axis=1), rng)


def _labels(baseline: str, found: Sequence[Setting], resampler: Resampler, notes: list[str]) -> tuple[Saved, ...]:
    rows = []
    for setting in found:
        if len(setting.budgets) < 2:
            notes.append(f"labels, {setting.protocol}: a single budget has no curve to read labels from")
            continue
        for strategy in setting.curves:
            if strategy != baseline and (targets := labels_saved(setting, strategy, baseline, resampler)):
                rows.append(
                    Saved(setting.protocol, setting.dataset, setting.regime, strategy, tuple(map(_known, targets)))
                )
    if any(t.n < LEAST_RUNS for row in rows for t in row.targets):
        notes.append(
            f"labels: no interval for fewer than {LEAST_RUNS} seeds, where bootstrap intervals cover far less than 95 %"
        )
    return tuple(rows)


def _known(row: LabelsSaved) -> LabelsSaved:
    if row.n >= LEAST_RUNS:
        return row
    return replace(row, saved_low=math.nan, saved_high=math.nan, efficiency_low=math.nan, efficiency_high=math.nan)


def _levers(baseline: str, found: Sequence[Setting], resampler: Resampler, notes: list[str]) -> tuple[Lever, ...]:
    if len({s.regime for s in found}) < 2:
        return ()
    try:
        rows = levers(found, baseline, resampler)
    except ValueError as error:
        notes.append(f"levers: {error}")
        return ()
    if any(r.n < LEAST_RUNS for r in rows):
        notes.append(
            f"levers: no interval of labels worth for fewer than {LEAST_RUNS} seeds, where bootstrap intervals cover far less than 95 %"
        )
    return tuple(r if r.n >= LEAST_RUNS else replace(r, worth_low=math.nan, worth_high=math.nan) for r in rows)


def _growth(others: Sequence[str], curves: Curves, found: Sequence[Setting], notes: list[str]) -> tuple[Growth, ...]:
    if curves.complete > GROWTH_RUNS:
        notes.append(
            f"mixed model: not fitted to more than {GROWTH_RUNS} runs; analysis.mixed.growth fits it strategy by strategy"
        )
        return ()
    rows = []
    for strategy in others:
        try:
            rows.append(growth(found, strategy, curves.baseline))
        except ValueError as error:
            notes.append(f"mixed model, {strategy}: {error}")
    return tuple(rows)


def _crossed(curves: Curves, found: Sequence[Setting], notes: list[str]) -> tuple[CrossedEffect, ...]:
    if curves.complete > GROWTH_RUNS:
        notes.append(
            f"crossed mixed model: not fitted to more than {GROWTH_RUNS} runs; analysis.crossed.crossed fits it"
        )
        return ()
    try:
        return crossed(found, curves.competitors, curves.baseline)
    except ValueError as error:
        notes.append(f"crossed mixed model: {error}")
        return ()
