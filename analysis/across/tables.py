"""What was found over several data sets and regimes as tables of typed rows: frames, Markdown, LaTeX."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from analysis.across.levers import Lever
from analysis.across.mixed_models import CrossedEffect
from analysis.across.ranking_stability import Agreement, SeedAgreement
from analysis.across.result import Across, Gain
from analysis.formatting.rows import Rows


@dataclass(frozen=True)
class OmnibusRow:
    """Friedman and Iman-Davenport over the data sets of one regime, and Nemenyi's critical difference at alpha."""

    regime: str
    datasets: int
    strategies: int
    chi2: float
    p: float
    chi2_ties: float
    p_ties: float
    f: float
    p_f: float
    alpha: float
    critical_difference: float


@dataclass(frozen=True)
class RankRow:
    """Mean rank over data sets, 1 is best."""

    regime: str
    strategy: str
    mean_rank: float


@dataclass(frozen=True)
class NemenyiRow:
    """A pair of strategies: mean rank of the left minus the right's, p corrected over all pairs."""

    regime: str
    left: str
    right: str
    rank_difference: float
    p_adjusted: float


@dataclass(frozen=True)
class ControlRow:
    """`analysis.statistics.ranks.AgainstControl` with its regime."""

    regime: str
    strategy: str
    n: int
    wins: int
    ties: int
    losses: int
    median_difference: float
    r_plus: float
    r_minus: float
    p: float
    p_adjusted: float
    smallest_p: float


@dataclass(frozen=True)
class GainRow:
    """One aggregate over all settings with its 95 % bootstrap interval: IQM in the metric's units, improvements in [0, 1]."""

    strategy: str
    aggregate: str
    settings: int
    runs: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ProfileRow:
    """Share of runs whose paired difference exceeds the threshold, 95 % pointwise interval."""

    strategy: str
    threshold: float
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class PenaltyRow:
    """How often the winner beats the loser, of so many settings; beside it what chance alone would give."""

    definition: str
    winner: str
    loser: str
    settings: int
    wins: float
    null_expectation: float


@dataclass(frozen=True)
class PenaltyMean:
    """Column mean of the penalty matrix, smaller is better."""

    definition: str
    strategy: str
    settings: int
    column_mean: float


@dataclass(frozen=True)
class LabelRow:
    """`analysis.across.labels_saved.LabelsSaved` at one target; low and high bound the labels saved."""

    protocol: str
    strategy: str
    target: float
    labels: float
    baseline_labels: float
    saved: float
    low: float
    high: float
    efficiency: float
    censored: str
    baseline_censored: str
    undefined: float
    n: int


@dataclass(frozen=True)
class GrowthRow:
    """Mixed model of the paired difference curves: halfway, and its change over the budgets."""

    strategy: str
    effect: str
    curves: int
    value: float
    standard_error: float
    converged: bool
    label: str


def parts(found: Across) -> dict[str, Rows[Any]]:
    """Every part by name, empty ones too."""
    omnibus, means, pairs, control = [], [], [], []
    for t in found.ranks:
        f, k = t.friedman, len(t.strategies)
        tests = (f.chi2, f.p, f.chi2_ties, f.p_ties, f.f, f.p_f)
        omnibus.append(OmnibusRow(t.regime, f.blocks, f.treatments, *tests, t.alpha, t.critical_difference))
        means += [RankRow(t.regime, s, r) for s, r in zip(t.strategies, f.mean_ranks, strict=True)]
        pairs += [
            NemenyiRow(t.regime, t.strategies[i], t.strategies[j], f.mean_ranks[i] - f.mean_ranks[j], t.nemenyi[i][j])
            for i in range(k)
            for j in range(i + 1, k)
        ]
        control += [ControlRow(t.regime, **asdict(row)) for row in t.against_control]
    return {
        "omnibus": Rows(
            OmnibusRow,
            "Are all strategies alike over data sets? Friedman, Iman-Davenport, Nemenyi's CD",
            tuple(omnibus),
        ),
        "ranks": Rows(RankRow, "Mean ranks over data sets", tuple(means)),
        "nemenyi": Rows(NemenyiRow, "Nemenyi, every pair", tuple(pairs)),
        "against-control": Rows(ControlRow, f"Wilcoxon over data sets against {found.baseline}, Holm", tuple(control)),
        "gains": Rows(
            GainRow,
            "Aggregates over all settings, 95 % bootstrap intervals",
            tuple(r for g in found.gains for r in _gain(g)),
        ),
        "profiles": Rows(
            ProfileRow,
            "Performance profiles of the paired difference",
            tuple(r for g in found.gains for r in _profile(g)),
        ),
        "penalties": Rows(PenaltyRow, "Pairwise penalty matrices", tuple(_penalties(found))),
        "penalty-means": Rows(PenaltyMean, "Pairwise penalty matrices, column means", tuple(_penalty_means(found))),
        "agreement": Rows(Agreement, "Agreement of rankings, Kendall's tau", found.agreement),
        "seeds": Rows(SeedAgreement, "Agreement of two studies of n seeds each", found.seeds),
        "labels": Rows(LabelRow, f"Labels saved against {found.baseline}", tuple(_labels(found))),
        "levers": Rows(Lever, "What each lever is worth", found.levers),
        "growth": Rows(GrowthRow, "Mixed model of difference curves (secondary, descriptive)", tuple(_growth(found))),
        "crossed": Rows(
            CrossedEffect,
            "Mixed model with crossed random effects of setting and seed (secondary, descriptive)",
            found.crossed,
        ),
    }


def frames(found: Across) -> dict[str, pd.DataFrame]:
    """Return every part by name as an unrounded frame."""
    return {name: part.to_frame() for name, part in parts(found).items()}


def to_markdown(found: Across) -> str:
    """Return every part that has rows as a pipe table under its title."""
    return "\n".join(f"## {part.title}\n\n{part.to_markdown()}" for part in parts(found).values() if part.rows)


def to_latex(found: Across) -> str:
    """Return every part that has rows as a booktabs table, with its title as a comment."""
    return "\n".join(f"% {part.title}\n{part.to_latex()}" for part in parts(found).values() if part.rows)


def _gain(g: Gain) -> list[GainRow]:
    own = (g.settings, g.runs)
    return [
        GainRow(g.strategy, "IQM of differences", *own, g.iqm, g.iqm_low, g.iqm_high),
        GainRow(g.strategy, "probability of improvement, paired", *own, g.paired, g.paired_low, g.paired_high),
        GainRow(g.strategy, "probability of improvement, plain", *own, g.plain, g.plain_low, g.plain_high),
    ]


def _profile(g: Gain) -> list[ProfileRow]:
    return [
        ProfileRow(g.strategy, *row) for row in zip(g.thresholds, g.profile, g.profile_low, g.profile_high, strict=True)
    ]


def _penalties(found: Across) -> list[PenaltyRow]:
    return [
        PenaltyRow(p.definition, winner, loser, p.settings, p.wins[i][j], p.null_expectation)
        for p in found.penalties
        for i, winner in enumerate(p.strategies)
        for j, loser in enumerate(p.strategies)
        if i != j
    ]


def _penalty_means(found: Across) -> list[PenaltyMean]:
    return [
        PenaltyMean(p.definition, s, p.settings, mean)
        for p in found.penalties
        for s, mean in zip(p.strategies, p.column_means, strict=True)
    ]


def _labels(found: Across) -> list[LabelRow]:
    return [
        LabelRow(
            s.protocol, s.strategy, r.target, r.labels, r.baseline_labels, r.saved, r.saved_low, r.saved_high,
            r.efficiency, r.censored, r.baseline_censored, r.undefined, r.n,
        )
        for s in found.labels
        for r in s.targets
    ]  # fmt: skip


def _growth(found: Across) -> list[GrowthRow]:
    return [
        GrowthRow(g.strategy, effect, g.fit.curves, value, error, g.fit.converged, g.label)
        for g in found.growth
        for effect, value, error in (
            ("difference halfway", g.fit.intercept, g.fit.intercept_se),
            ("change over the budgets", g.fit.slope, g.fit.slope_se),
        )
    ]
