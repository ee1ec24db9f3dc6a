"""Gather all statistics that need several data sets or regimes from one table of curves.

All of it is secondary. The verdicts of `analysis.verdict.decide` are the primary answer; nothing here changes them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np

from analysis.across.gains import all_gains
from analysis.across.labels_saved import LabelsSaved, labels_saved
from analysis.across.levers import Lever, levers
from analysis.across.mixed_models import CrossedEffect, CurveTrend, crossed_effects, curve_trend
from analysis.across.penalty_matrix import PenaltyMatrix, penalty_matrix
from analysis.across.rank_tables import rank_tables
from analysis.across.ranking_stability import Agreement, SeedAgreement, agreement, seed_agreement
from analysis.across.result import Across, Saved
from analysis.across.setting import Setting, competing_settings
from analysis.loading.curves import Curves
from analysis.statistics.bootstrap import Resampler

RESAMPLES: Final = 10_000
"""Number of resamples of the bootstrap over all settings."""
LABEL_RESAMPLES: Final = 2_000
"""Number of resamples of the intervals of labels and factors: there are many, each within one data set."""
LEAST_RUNS: Final = 6
"""Seeds below which labels read off curves of one data set get no interval: no resample lies beyond the extremes."""
MIXED_MODEL_RUNS: Final = 500
"""Largest number of runs to fit mixed models to: statsmodels visits every curve in every step."""
TOO_FEW_SEEDS: Final = f"fewer than {LEAST_RUNS} seeds, where bootstrap intervals cover far less than 95 %"


def across(
    curves: Curves, rng: np.random.Generator, resamples: int = RESAMPLES, *, alone: bool = False
) -> Across | None:
    """Compute all statistics over data sets and regimes that the table allows.

    Args:
        curves: curves of all data sets and regimes.
        rng: generator for the bootstrap and for draws of seeds.
        resamples: number of bootstrap resamples over all settings.
        alone: accept a single data set under a single regime: labels, penalties and stability mean something there,
            too.

    Returns:
        The statistics, with notes on what was left out. `None` with a single data set under a single regime, unless
        `alone`.
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
    settings = competing_settings(curves)
    if len({(s.dataset, s.regime) for s in settings}) < (1 if alone else 2):
        return None
    resampler = Resampler(rng, min(resamples, LABEL_RESAMPLES), method="expanded")
    gains_resampler = Resampler(rng, resamples, method="expanded")
    others = [s for s in curves.competitors if s != curves.baseline]
    paired = curves.paired
    if not paired:
        notes.append("unpaired analysis: statistics that pair seeds are left out")
    return Across(
        baseline=curves.baseline,
        datasets=tuple(dict.fromkeys(s.dataset for s in settings)),
        regimes=tuple(dict.fromkeys(s.regime for s in settings)),
        resamples=resamples,
        ranks=tables,
        gains=all_gains(others, curves.baseline, settings, gains_resampler) if paired else (),
        penalties=_penalties(curves, settings) if paired else (),
        agreement=_agreement(curves.competitors, settings),
        seeds=tuple(row for s in settings for row in _seed_rows(curves.competitors, s, rng)) if paired else (),
        labels=_labels(curves.baseline, settings, resampler, notes) if paired else (),
        levers=_levers(curves.baseline, settings, resampler, notes) if paired else (),
        growth=_curve_trends(others, curves, settings, notes) if paired else (),
        crossed=_crossed_effects(curves, settings, notes) if paired else (),
        notes=tuple(notes),
    )


def _penalties(curves: Curves, settings: Sequence[Setting]) -> tuple[PenaltyMatrix, ...]:
    return tuple(penalty_matrix(settings, curves.competitors, curves.baseline, d) for d in ("ash-2020", "lueth-2023"))


def _agreement(strategies: Sequence[str], settings: Sequence[Setting]) -> tuple[Agreement, ...]:
    """Compare data sets within each regime, then regimes within each data set."""
    rows: list[Agreement] = []
    for regime in dict.fromkeys(s.regime for s in settings):
        group = [s for s in settings if s.regime == regime]
        rows += _pairs("data sets", regime, [s.dataset for s in group], strategies, group)
    for dataset in dict.fromkeys(s.dataset for s in settings):
        group = [s for s in settings if s.dataset == dataset]
        rows += _pairs("regimes", dataset, [s.regime for s in group], strategies, group)
    return tuple(rows)


def _pairs(
    between: Literal["data sets", "regimes"],
    within: str,
    names: Sequence[str],
    strategies: Sequence[str],
    group: Sequence[Setting],
) -> tuple[Agreement, ...]:
    """Compare rankings of the strategies that all settings have.

    Nothing is ranked if fewer than two strategies are shared.
    """
    shared = [s for s in strategies if all(s in setting.curves for setting in group)]
    if len(shared) < 2:
        return ()
    return agreement(between, within, names, [np.array([part.area(s).mean() for s in shared]) for part in group])


def _seed_rows(strategies: Sequence[str], setting: Setting, rng: np.random.Generator) -> tuple[SeedAgreement, ...]:
    names = [s for s in strategies if s in setting.curves]
    shared = set.intersection(*({*setting.seeds[s]} for s in names))
    if len(names) < 2 or len(shared) < 2:
        return ()
    areas = [setting.area(s)[[seed in shared for seed in setting.seeds[s]]] for s in names]
    return seed_agreement(setting.protocol, np.stack(areas, axis=1), rng)


def _labels(baseline: str, settings: Sequence[Setting], resampler: Resampler, notes: list[str]) -> tuple[Saved, ...]:
    rows = []
    for setting in settings:
        if len(setting.budgets) < 2:
            notes.append(f"labels, {setting.protocol}: a single budget has no curve to read labels from")
            continue
        for strategy in setting.curves:
            if strategy == baseline:
                continue
            if targets := labels_saved(setting, strategy, baseline, resampler):
                shown = tuple(map(_without_narrow_interval, targets))
                rows.append(Saved(setting.protocol, setting.dataset, setting.regime, strategy, shown))
    if any(t.n < LEAST_RUNS for row in rows for t in row.targets):
        notes.append(f"labels: no interval for {TOO_FEW_SEEDS}")
    return tuple(rows)


def _without_narrow_interval(row: LabelsSaved) -> LabelsSaved:
    if row.n >= LEAST_RUNS:
        return row
    return replace(row, saved_low=math.nan, saved_high=math.nan, efficiency_low=math.nan, efficiency_high=math.nan)


def _levers(baseline: str, settings: Sequence[Setting], resampler: Resampler, notes: list[str]) -> tuple[Lever, ...]:
    if len({s.regime for s in settings}) < 2:
        return ()
    try:
        rows = levers(settings, baseline, resampler)
    except ValueError as error:
        notes.append(f"levers: {error}")
        return ()
    if any(r.n < LEAST_RUNS for r in rows):
        notes.append(f"levers: no interval of equivalent extra labels for {TOO_FEW_SEEDS}")
    return tuple(r if r.n >= LEAST_RUNS else replace(r, worth_low=math.nan, worth_high=math.nan) for r in rows)


def _curve_trends(
    others: Sequence[str], curves: Curves, settings: Sequence[Setting], notes: list[str]
) -> tuple[CurveTrend, ...]:
    if curves.complete > MIXED_MODEL_RUNS:
        notes.append(
            f"mixed model: not fitted to more than {MIXED_MODEL_RUNS} runs;"
            " analysis.across.mixed_models.curve_trend fits it strategy by strategy"
        )
        return ()
    rows = []
    for strategy in others:
        try:
            rows.append(curve_trend(settings, strategy, curves.baseline))
        except ValueError as error:
            notes.append(f"mixed model, {strategy}: {error}")
    return tuple(rows)


def _crossed_effects(curves: Curves, settings: Sequence[Setting], notes: list[str]) -> tuple[CrossedEffect, ...]:
    if curves.complete > MIXED_MODEL_RUNS:
        notes.append(
            f"crossed mixed model: not fitted to more than {MIXED_MODEL_RUNS} runs;"
            " analysis.across.mixed_models.crossed_effects fits it"
        )
        return ()
    try:
        return crossed_effects(settings, curves.competitors, curves.baseline)
    except ValueError as error:
        notes.append(f"crossed mixed model: {error}")
        return ()
