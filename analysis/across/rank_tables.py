"""Rank strategies over data sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.across.result import RankTable
from analysis.across.setting import Setting, competing_settings
from analysis.loading.curves import Curves
from analysis.statistics.all_pairs import compare_all_pairs
from analysis.statistics.ranks import against_control, critical_difference, friedman, nemenyi
from analysis.verdict.endpoint import matrix


def rank_tables(curves: Curves, notes: list[str]) -> tuple[RankTable, ...]:
    """Rank strategies per regime with two data sets or more; append what was left out to `notes`."""
    if curves.unit == "data set":
        return tuple(t for protocol in curves.protocols if (t := _one_value_each(curves, protocol, notes)))
    settings = competing_settings(curves)
    return tuple(
        t for regime in dict.fromkeys(s.regime for s in settings) if (t := _rank_table(curves, regime, settings, notes))
    )


def _one_value_each(curves: Curves, protocol: str, notes: list[str]) -> RankTable | None:
    """Rank strategies in a table without seeds, whose pairs are data sets."""
    wide = matrix(curves, protocol)
    if not len(wide):
        return None
    last = wide.iloc[:, -1].unstack("strategy")
    names = [curves.unit_name(int(i)) for i in last.index]
    regime = curves.places.get(protocol, ("", ""))[1] or protocol
    means = {
        d: {str(s): float(v) for s, v in row.items() if math.isfinite(v)}
        for d, (_, row) in zip(names, last.iterrows(), strict=True)
    }
    return _ranked(curves, regime, means, notes)


def _rank_table(curves: Curves, regime: str, settings: Sequence[Setting], notes: list[str]) -> RankTable | None:
    """Rank strategies over data sets; several protocols of one data set form one block, their mean."""
    own: dict[str, list[Setting]] = {}
    for setting in settings:
        if setting.regime == regime:
            own.setdefault(setting.dataset, []).append(setting)
    means = {
        dataset: {
            s: float(np.mean([part.area(s).mean() for part in parts]))
            for s in curves.competitors
            if all(s in part.curves for part in parts)
        }
        for dataset, parts in own.items()
    }
    if uneven := [place for parts in own.values() for part in parts if (place := _uneven(part, curves.competitors))]:
        notes.append(f"ranks, {regime}: means are over different seeds: {'; '.join(uneven)}")
    return _ranked(curves, regime, means, notes)


def _uneven(setting: Setting, strategies: Sequence[str]) -> str:
    """Return in words which strategies lack seeds.

    Seed effects do not cancel in means over different seeds.
    """
    seeds = {s: setting.seeds[s] for s in strategies if s in setting.seeds}
    every = sorted({seed for own in seeds.values() for seed in own})
    few = [f"{s} {len(own)} of {len(every)}" for s, own in seeds.items() if len(own) < len(every)]
    return f"{setting.protocol}: {', '.join(few)}" if few else ""


def _ranked(
    curves: Curves, regime: str, means: Mapping[str, Mapping[str, float]], notes: list[str]
) -> RankTable | None:
    names = [s for s in curves.competitors if any(s in row for row in means.values())]
    whole = [d for d, row in means.items() if all(s in row for s in names)]
    left_out = tuple(d for d in means if d not in whole)
    if left_out:
        notes.append(f"ranks, {regime}: left out {', '.join(left_out)}, where a strategy has no complete run")
    if len(whole) < 2 or len(names) < 2 or curves.baseline not in names:
        if len(means) > 1:
            notes.append(f"ranks, {regime}: fewer than two data sets or strategies to rank")
        return None
    scores = np.array([[means[d][s] for s in names] for d in whole])
    alpha = curves.plan.alpha
    pairs = tuple(tuple(float(p) for p in row) for row in nemenyi(scores))
    control = against_control(scores, names, curves.baseline)
    distance = critical_difference(len(names), len(whole), alpha)
    every = compare_all_pairs(scores, names)
    ranked = friedman(scores)
    return RankTable(regime, tuple(whole), left_out, tuple(names), ranked, alpha, distance, pairs, control, every)
