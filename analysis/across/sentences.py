"""Describe the results over several data sets and regimes in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from analysis.across.mixed_models import CrossedEffect, CurveTrend
from analysis.across.penalty_matrix import PenaltyMatrix
from analysis.across.result import Across, Gain, RankTable
from analysis.formatting import numbers
from analysis.statistics.all_pairs import MOST


def summary(result: Across) -> str:
    """Return the results as a list, strategies best first; `to_dict` and `frames` have all numbers."""
    lines = [
        f"Over {_count(result.datasets, 'data set')}, {_count(result.regimes, 'regime')}"
        " (secondary: it changes no verdict; bootstrap intervals are 95 % percentile, expanded for few seeds):"
    ]
    lines += [line for table in result.ranks for line in _ranks(table, result.baseline)]
    lines += [_gain(gain, result.baseline) for gain in sorted(result.gains, key=lambda g: -g.iqm)]
    lines += [_penalty(p) for p in result.penalties if p.settings]
    lines += _stability(result)
    lines += _labels(result)
    lines += _levers(result)
    lines += [_trend(trend) for trend in result.growth]
    lines += [_crossed(effect) for effect in result.crossed]
    return "\n".join([*lines, *(f"- note: {n}" for n in result.notes)])


def _ranks(table: RankTable, baseline: str) -> list[str]:
    f = table.friedman
    order = sorted(zip(f.mean_ranks, table.strategies, strict=True))
    lines = [
        f"- {table.regime}, mean ranks over {f.blocks} data sets: {', '.join(f'{s} {r:.2f}' for r, s in order)}."
        f" Friedman chi2 {f.chi2:.2f} (p {numbers.p_value(f.p)};"
        f" corrected for ties {f.chi2_ties:.2f}, p {numbers.p_value(f.p_ties)}),"
        f" Iman-Davenport F {f.f:.2f} (p {numbers.p_value(f.p_f)}),"
        f" Nemenyi CD {table.critical_difference:.2f} at {table.alpha:g}."
    ]
    for row in sorted(table.against_control, key=lambda r: r.p_adjusted):
        lines.append(
            f"- {table.regime}, {row.strategy} against {baseline}: better on {row.wins}, equal on {row.ties},"
            f" worse on {row.losses} of {row.n} data sets;"
            f" Wilcoxon p {numbers.p_value(row.p)}, Holm {numbers.p_value(row.p_adjusted)}"
            f" (smallest reachable before correction {row.smallest_p:.3g})."
        )
    if line := _every_pair(table):
        lines.append(line)
    return lines


def _every_pair(table: RankTable) -> str:
    """Return how many of all pairs differ under each procedure for all pairs, and which."""
    pairs = table.pairs
    if len(table.strategies) < 3 or not pairs:
        return ""
    found = {
        "Holm": [p for p in pairs if p.holm <= table.alpha],
        "Shaffer": [p for p in pairs if p.shaffer <= table.alpha],
        "Bergmann-Hommel": [p for p in pairs if p.bergmann_hommel is not None and p.bergmann_hommel <= table.alpha],
    }
    if len(table.strategies) > MOST:
        del found["Bergmann-Hommel"]
    counts = ", ".join(f"{len(own)} by {name}" for name, own in found.items())
    widest = max(found.values(), key=len)
    names = f" ({'; '.join(f'{p.first} and {p.second}' for p in widest[:6])}{'; …' if len(widest) > 6 else ''})"
    return f"- {table.regime}, all {len(pairs)} pairs (Wilcoxon): {counts} differ{names if widest else ''}."


def _gain(gain: Gain, baseline: str) -> str:
    interval = f"[{numbers.signed(gain.iqm_low)}, {numbers.signed(gain.iqm_high)}]"
    return (
        f"- {gain.strategy}: interquartile mean of the difference {numbers.signed(gain.iqm)}"
        f" {interval if math.isfinite(gain.iqm_low) else numbers.NOTHING};"
        f" better than {baseline} at the same seed in {_share(gain.paired)},"
        f" between unrelated seeds in {_share(gain.plain)}."
    )


def _trend(trend: CurveTrend) -> str:
    fit = trend.fit
    return (
        f"- mixed model ({trend.label}), {trend.strategy}:"
        f" difference {numbers.signed(fit.intercept)} (SE {fit.intercept_se:.4f}) halfway,"
        f" changing by {numbers.signed(fit.slope)} (SE {fit.slope_se:.4f}) over the budgets"
        f"{'' if fit.converged else '; not converged'}."
    )


def _crossed(effect: CrossedEffect) -> str:
    return (
        f"- mixed model with crossed effects ({effect.label}), {effect.strategy}:"
        f" {effect.outcome} {numbers.signed(effect.value)} (SE {effect.standard_error:.4f}),"
        f" sd between settings {effect.sd_setting:.4f}, seeds {effect.sd_seed:.4f}, pairs {effect.sd_pair:.4f}"
        f"{'' if effect.converged else '; not converged'}."
    )


def _penalty(p: PenaltyMatrix) -> str:
    order = sorted(zip(p.column_means, p.strategies, strict=True))
    return (
        f"- penalty matrix ({p.definition}, {p.settings} settings), column means, smaller is better:"
        f" {', '.join(f'{s} {m:.2f}' for m, s in order)}; expected cell {p.null_expectation:.2f} if all are alike"
        f"{'; ' * bool(p.absent())}{p.absent()}."
    )


def _stability(result: Across) -> list[str]:
    lines = []
    for between in ("data sets", "regimes"):
        taus = [a.tau for a in result.agreement if a.between == between and math.isfinite(a.tau)]
        if taus:
            lines.append(
                f"- rankings of two {between} agree with Kendall's tau {np.mean(taus):.2f} on average"
                f" ({min(taus):.2f} to {max(taus):.2f})."
            )
    by_n = {n: [s.winner_changes for s in result.seeds if s.n == n] for n in sorted({s.n for s in result.seeds})}
    if by_n:
        shown = ", ".join(
            f"{np.mean(v):.0%} with n = {n}" for n, v in by_n.items() if n in (1, 3, 5, 10) or n == max(by_n)
        )
        lines.append(f"- two studies of n seeds each have different winners: {shown}.")
    return lines


def _labels(result: Across) -> list[str]:
    lines = []
    for strategy in dict.fromkeys(s.strategy for s in result.labels):
        last = [s.targets[-1] for s in result.labels if s.strategy == strategy]
        never = sum(r.censored == "right" for r in last)
        needs = [r.labels / r.baseline_labels for r in last]
        middle = float(np.median(needs))
        if math.isfinite(middle):
            words = f"{middle:.0%} of {result.baseline}'s labels (median over {len(last)} settings)"
        else:
            words = f"more labels than the last budget in most of {len(last)} settings"
        lines.append(
            f"- to reach {result.baseline}'s best accuracy {strategy} needs {words}"
            + (f"; in {never} it never reaches it." if never else ".")
        )
    return lines


def _levers(result: Across) -> list[str]:
    lines = []
    base = next(iter(result.regimes), "")  # the default of `analysis.across.levers.levers`
    for kind, name, regime in dict.fromkeys((r.lever, r.name, r.regime) for r in result.levers):
        rows = [r for r in result.levers if (r.lever, r.name, r.regime) == (kind, name, regime)]
        per = [[r for r in rows if r.dataset == d] for d in dict.fromkeys(r.dataset for r in rows)]
        first, last = ([part[i].points for part in per] for i in (0, -1))
        worth = [part[0].labels_worth for part in per]
        known = [w for w in worth if not math.isnan(w)]
        labels = f"; {_equivalent_labels(_middle(known))} at the first" if known else ""
        what = f"regime {name} (over {base})" if kind == "regime" else f"{name} within {regime}"
        lines.append(
            f"- factor {what}: {numbers.signed(float(np.mean(first)))} at the first budget,"
            f" {numbers.signed(float(np.mean(last)))} at the last{labels}."
        )
    return lines


def _middle(values: list[float]) -> float:
    """Return the median; of two middle values that have no mean (infinite), the lower."""
    low, high = sorted(values)[(len(values) - 1) // 2], sorted(values)[len(values) // 2]
    return (low + high) / 2 if math.isfinite(low) and math.isfinite(high) else low


def _equivalent_labels(labels: float) -> str:
    if math.isfinite(labels):
        return f"{labels:+.0f} equivalent extra labels"
    return f"equivalent extra labels {'above' if labels > 0 else 'below'} the range of the base regime's curve"


def _share(value: float) -> str:
    return f"{value:.0%}"


def _count(names: Iterable[str], noun: str) -> str:
    n = len(list(names))
    return f"{n} {noun}{'s' * (n != 1)}"
