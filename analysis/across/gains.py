"""Estimate gains of strategies over the baseline, aggregated over all settings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.across.result import Gain
from analysis.across.setting import Setting
from analysis.statistics.aggregates import iqm, performance_profile, probability_of_improvement
from analysis.statistics.arrays import Floats
from analysis.statistics.bootstrap import Resampler


def all_gains(
    others: Sequence[str], baseline: str, settings: Sequence[Setting], resampler: Resampler
) -> tuple[Gain, ...]:
    """Estimate the gain of each strategy over the baseline; strategies without paired runs are left out.

    Strategies with the same numbers of paired runs share one pass over the resamples.
    """
    sides = {s: [pair for setting in settings if len((pair := setting.paired_areas(s, baseline))[0])] for s in others}
    alike: dict[tuple[int, ...], list[str]] = {}
    for strategy, pairs in sides.items():
        alike.setdefault(tuple(len(ours) for ours, _ in pairs), []).append(strategy)
    gains: dict[str, Gain] = {}
    for sizes, names in alike.items():
        if sizes:
            ours, theirs = (
                [np.stack([sides[s][d][side] for s in names], axis=1) for d in range(len(sizes))] for side in (0, 1)
            )
            gains |= dict(zip(names, _gain(names, ours, theirs, resampler), strict=True))
    return tuple(gains[s] for s in others if s in gains)


def _gain(names: Sequence[str], ours: Sequence[Floats], theirs: Sequence[Floats], resampler: Resampler) -> list[Gain]:
    """Estimate gains from areas per setting, (n_d, C), with one column per name."""
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    middle = iqm(differences, resampler)
    plain, paired = (probability_of_improvement(ours, theirs, resampler, paired=p) for p in (False, True))
    reach = np.max([np.abs(d).max(axis=0) for d in differences], axis=0)
    thresholds = np.linspace(-reach, reach, 11, axis=1)
    profile = performance_profile(differences, thresholds, resampler)
    rows = []
    for c, name in enumerate(names):
        shares = (_row(part[c]) for part in (thresholds, profile.value, profile.low, profile.high))
        rows.append(Gain(name, len(ours), sum(map(len, ours)), *middle.at(c), *plain.at(c), *paired.at(c), *shares))
    return rows


def _row(values: Floats) -> tuple[float, ...]:
    return tuple(float(v) for v in values)
