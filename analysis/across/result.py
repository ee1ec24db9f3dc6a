"""Results of a comparison across settings, as data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from analysis.across.labels_saved import LabelsSaved
from analysis.across.levers import Lever
from analysis.across.mixed_models import CrossedEffect, CurveTrend
from analysis.across.penalty_matrix import PenaltyMatrix
from analysis.across.ranking_stability import Agreement, SeedAgreement
from analysis.statistics.all_pairs import PairOfStrategies
from analysis.statistics.ranks import AgainstControl, Friedman


@dataclass(frozen=True)
class RankTable:
    """Ranks of strategies over the data sets of one regime, by mean AUBC over seeds.

    Attributes:
        left_out: data sets in which a strategy has no complete run.
        critical_difference: Nemenyi's critical difference at level alpha.
        nemenyi: p of every pair of the k strategies, k rows of k.
        pairs: p of every pair by Wilcoxon's test over data sets, raw and corrected over all pairs by Holm, Shaffer and
            (up to 9 strategies) Bergmann-Hommel.
    """

    regime: str
    datasets: tuple[str, ...]
    left_out: tuple[str, ...]
    strategies: tuple[str, ...]
    friedman: Friedman
    alpha: float
    critical_difference: float
    nemenyi: tuple[tuple[float, ...], ...]
    against_control: tuple[AgainstControl, ...]
    pairs: tuple[PairOfStrategies, ...] = ()


@dataclass(frozen=True)
class Gain:
    """Gain of one strategy over the baseline, over all settings.

    Intervals are 95 % stratified bootstrap intervals, expanded for few seeds.

    Attributes:
        iqm: interquartile mean of the paired AUBC differences, in the metric's units.
        plain, paired: probability of improvement between unrelated seeds, and at the same seed, in [0, 1].
        thresholds, profile: share of runs whose paired difference exceeds each threshold, averaged over settings.
    """

    strategy: str
    settings: int
    runs: int
    iqm: float
    iqm_low: float
    iqm_high: float
    plain: float
    plain_low: float
    plain_high: float
    paired: float
    paired_low: float
    paired_high: float
    thresholds: tuple[float, ...]
    profile: tuple[float, ...]
    profile_low: tuple[float, ...]
    profile_high: tuple[float, ...]


@dataclass(frozen=True)
class Saved:
    """Labels saved by one strategy under one protocol, target by target."""

    protocol: str
    dataset: str
    regime: str
    strategy: str
    targets: tuple[LabelsSaved, ...]


@dataclass(frozen=True)
class Across:
    """All results over data sets and regimes; parts that do not apply are empty, and `notes` say why.

    Attributes:
        ranks: ranks over data sets, see `rank_tables`.
        gains: aggregate gains over the baseline, see `gains`.
        penalties: see `penalty_matrix`.
        agreement, seeds: see `ranking_stability`.
        labels: see `labels_saved`.
        levers: effects of factors, see `levers`.
        growth, crossed: see `mixed_models`.
    """

    baseline: str
    datasets: tuple[str, ...]
    regimes: tuple[str, ...]
    resamples: int
    ranks: tuple[RankTable, ...] = ()
    gains: tuple[Gain, ...] = ()
    penalties: tuple[PenaltyMatrix, ...] = ()
    agreement: tuple[Agreement, ...] = ()
    seeds: tuple[SeedAgreement, ...] = ()
    labels: tuple[Saved, ...] = ()
    levers: tuple[Lever, ...] = ()
    growth: tuple[CurveTrend, ...] = ()
    crossed: tuple[CrossedEffect, ...] = ()
    notes: tuple[str, ...] = ()
    label: str = "secondary"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, unrounded; NaN and infinities become null and "inf", "-inf"."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    def to_json(self) -> str:
        """Return all results, unrounded, as strict JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, str | int):
        return value
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value
