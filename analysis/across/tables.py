"""Tables of the results over several data sets and regimes: frames, Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import pandas as pd

from analysis.across.labels_saved import LabelsSaved
from analysis.across.levers import Lever
from analysis.across.mixed_models import CrossedEffect, CurveTrend
from analysis.across.penalty_matrix import PenaltyMatrix
from analysis.across.ranking_stability import Agreement, SeedAgreement
from analysis.across.result import Across, Gain, RankTable
from analysis.formatting.rows import Rows, Table

Cells = dict[str, Any]


def parts(result: Across) -> dict[str, Table]:
    """Return every table by name, empty ones too."""
    baseline = result.baseline
    return {
        "omnibus": _table(
            "Are all strategies alike over data sets? Friedman, Iman-Davenport, Nemenyi's CD",
            "regime datasets strategies chi2 p chi2_ties p_ties f p_f alpha critical_difference",
            map(_omnibus, result.ranks),
        ),
        "ranks": _table(
            "Mean ranks over data sets",
            "regime strategy mean_rank",
            (row for table in result.ranks for row in _mean_ranks(table)),
            text=2,
        ),
        "nemenyi": _table(
            "Nemenyi, every pair",
            "regime left right rank_difference p_adjusted",
            (row for table in result.ranks for row in _nemenyi(table)),
            text=3,
        ),
        "against-control": _table(
            f"Wilcoxon over data sets against {baseline}, Holm",
            "regime strategy n wins ties losses median_difference r_plus r_minus p p_adjusted smallest_p",
            ({"regime": table.regime} | asdict(row) for table in result.ranks for row in table.against_control),
            text=2,
        ),
        "all-pairs": _table(
            "Wilcoxon over data sets, every pair; p by Holm, Shaffer and Bergmann-Hommel",
            "regime first second p p_holm p_shaffer p_bergmann_hommel",
            (row for table in result.ranks for row in _all_pairs(table)),
            text=3,
        ),
        "gains": _table(
            "Aggregates over all settings, 95 % bootstrap intervals",
            "strategy aggregate settings runs value low high",
            (row for gain in result.gains for row in _aggregates(gain)),
            text=2,
        ),
        "profiles": _table(
            "Performance profiles of the paired difference",
            "strategy threshold share low high",
            (row for gain in result.gains for row in _profile(gain)),
        ),
        "penalties": _table(
            "Pairwise penalty matrices",
            "definition winner loser settings wins null_expectation",
            (row for matrix in result.penalties for row in _penalties(matrix)),
            text=3,
        ),
        "penalty-means": _table(
            "Pairwise penalty matrices, column means",
            "definition strategy settings column_mean",
            (row for matrix in result.penalties for row in _penalty_means(matrix)),
            text=2,
        ),
        "agreement": Rows(Agreement, "Agreement of rankings, Kendall's tau", result.agreement).table(),
        "seeds": Rows(SeedAgreement, "Agreement of two studies of n seeds each", result.seeds).table(),
        "labels": _table(
            f"Labels saved against {baseline}",
            "protocol strategy target labels baseline_labels saved low high efficiency"
            " censored baseline_censored undefined n",
            (
                {"protocol": saved.protocol, "strategy": saved.strategy} | _labels(target)
                for saved in result.labels
                for target in saved.targets
            ),
            text=2,
        ),
        "levers": Rows(Lever, "Effect of each factor, in points and in equivalent labels", result.levers).table(),
        "growth": _table(
            "Mixed model of difference curves (secondary, descriptive)",
            "strategy effect curves value standard_error converged label",
            (row for trend in result.growth for row in _trend(trend)),
            text=2,
        ),
        "crossed": Rows(
            CrossedEffect,
            "Mixed model with crossed random effects of setting and seed (secondary, descriptive)",
            result.crossed,
        ).table(),
    }


def frames(result: Across) -> dict[str, pd.DataFrame]:
    """Return every table by name as an unrounded frame."""
    return {name: part.to_frame() for name, part in parts(result).items()}


def to_markdown(result: Across) -> str:
    """Return every table that has rows as a pipe table under its title."""
    return "\n".join(f"## {part.title}\n\n{part.to_markdown()}" for part in parts(result).values() if part.rows)


def to_latex(result: Across) -> str:
    """Return every table that has rows as a booktabs table, with its title as a comment."""
    return "\n".join(f"% {part.title}\n{part.to_latex()}" for part in parts(result).values() if part.rows)


def _table(title: str, columns: str, rows: Iterable[Cells], text: int = 1) -> Table:
    """Pick the named columns of the rows, in order; the first `text` columns hold text."""
    names = tuple(columns.split())
    return Table(title, names, tuple({name: row[name] for name in names} for row in rows), text)


def _omnibus(table: RankTable) -> Cells:
    tests = table.friedman
    sizes = {"datasets": tests.blocks, "strategies": tests.treatments}
    limit = {"alpha": table.alpha, "critical_difference": table.critical_difference}
    return {"regime": table.regime} | asdict(tests) | sizes | limit


def _mean_ranks(table: RankTable) -> Iterator[Cells]:
    for strategy, rank in zip(table.strategies, table.friedman.mean_ranks, strict=True):
        yield {"regime": table.regime, "strategy": strategy, "mean_rank": rank}


def _nemenyi(table: RankTable) -> Iterator[Cells]:
    """Yield the difference in mean rank, left minus right, of each pair, and its corrected p.

    p is corrected over all pairs.
    """
    names, ranks = table.strategies, table.friedman.mean_ranks
    for i, left in enumerate(names):
        for j, right in enumerate(names[i + 1 :], start=i + 1):
            pair = {"regime": table.regime, "left": left, "right": right}
            yield pair | {"rank_difference": ranks[i] - ranks[j], "p_adjusted": table.nemenyi[i][j]}


def _all_pairs(table: RankTable) -> Iterator[Cells]:
    for pair in table.pairs:
        exact = math.nan if pair.bergmann_hommel is None else pair.bergmann_hommel
        cells = {"first": pair.first, "second": pair.second, "p": pair.p, "p_holm": pair.holm}
        yield {"regime": table.regime} | cells | {"p_shaffer": pair.shaffer, "p_bergmann_hommel": exact}


def _aggregates(gain: Gain) -> Iterator[Cells]:
    """Yield the IQM in the metric's units, then the probabilities of improvement in [0, 1]."""
    for field, aggregate in (
        ("iqm", "IQM of differences"),
        ("paired", "probability of improvement, paired"),
        ("plain", "probability of improvement, plain"),
    ):
        values = {"value": getattr(gain, field), "low": getattr(gain, f"{field}_low")}
        yield asdict(gain) | {"aggregate": aggregate, "high": getattr(gain, f"{field}_high")} | values


def _profile(gain: Gain) -> Iterator[Cells]:
    """Yield the share of runs whose paired difference exceeds each threshold.

    Each share has its pointwise 95 % interval.
    """
    for row in zip(gain.thresholds, gain.profile, gain.profile_low, gain.profile_high, strict=True):
        yield {"strategy": gain.strategy} | dict(zip(("threshold", "share", "low", "high"), row, strict=True))


def _penalties(matrix: PenaltyMatrix) -> Iterator[Cells]:
    for winner, row in zip(matrix.strategies, matrix.wins, strict=True):
        for loser, wins in zip(matrix.strategies, row, strict=True):
            if winner != loser:
                yield asdict(matrix) | {"winner": winner, "loser": loser, "wins": wins}


def _penalty_means(matrix: PenaltyMatrix) -> Iterator[Cells]:
    for strategy, mean in zip(matrix.strategies, matrix.column_means, strict=True):
        yield asdict(matrix) | {"strategy": strategy, "column_mean": mean}


def _labels(target: LabelsSaved) -> Cells:
    return asdict(target) | {"low": target.saved_low, "high": target.saved_high}


def _trend(trend: CurveTrend) -> Iterator[Cells]:
    """Yield the paired difference halfway, then its change over the budgets."""
    fit, label = trend.fit, {"strategy": trend.strategy, "label": trend.label}
    halfway = {"effect": "difference halfway", "value": fit.intercept, "standard_error": fit.intercept_se}
    change = {"effect": "change over the budgets", "value": fit.slope, "standard_error": fit.slope_se}
    yield asdict(fit) | label | halfway
    yield asdict(fit) | label | change
