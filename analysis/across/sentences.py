"""What was found over several data sets and regimes, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from analysis.across.penalty_matrix import PenaltyMatrix
from analysis.across.result import Across, RankTable
from analysis.formatting import numbers


def summary(found: Across) -> str:
    """A line per part, strategies best first; numbers in full are in `to_dict` and `frames`."""
    places = f"{_count(found.datasets, 'data set')}, {_count(found.regimes, 'regime')}"
    lines = [
        f"Over {places} (secondary: it changes no verdict; bootstrap intervals are 95 % percentile, expanded for few seeds):"
    ]
    lines += [line for table in found.ranks for line in _ranks(table, found.baseline)]
    for g in sorted(found.gains, key=lambda g: -g.iqm):
        interval = (
            f"[{numbers.signed(g.iqm_low)}, {numbers.signed(g.iqm_high)}]"
            if math.isfinite(g.iqm_low)
            else numbers.NOTHING
        )
        lines.append(
            f"- {g.strategy}: interquartile mean of the difference {numbers.signed(g.iqm)} {interval};"
            f" better than {found.baseline} at the same seed in {_share(g.paired)}, between unrelated seeds in {_share(g.plain)}."
        )
    lines += [_penalty(p) for p in found.penalties if p.settings]
    lines += _stability(found)
    lines += _labels(found)
    lines += _levers(found)
    lines += [
        f"- mixed model ({g.label}), {g.strategy}: difference {numbers.signed(g.fit.intercept)} (SE {g.fit.intercept_se:.4f}) halfway,"
        f" changing by {numbers.signed(g.fit.slope)} (SE {g.fit.slope_se:.4f}) over the budgets{'' if g.fit.converged else '; not converged'}."
        for g in found.growth
    ]
    lines += [
        f"- mixed model with crossed effects ({c.label}), {c.strategy}: {c.outcome} {numbers.signed(c.value)} (SE {c.standard_error:.4f}),"
        f" sd between settings {c.sd_setting:.4f}, seeds {c.sd_seed:.4f}, pairs {c.sd_pair:.4f}{'' if c.converged else '; not converged'}."
        for c in found.crossed
    ]
    return "\n".join([*lines, *(f"- note: {n}" for n in found.notes)])


def _ranks(table: RankTable, baseline: str) -> list[str]:
    f = table.friedman
    order = sorted(zip(f.mean_ranks, table.strategies, strict=True))
    lines = [
        f"- {table.regime}, mean ranks over {f.blocks} data sets: {', '.join(f'{s} {r:.2f}' for r, s in order)}. Friedman chi2 {f.chi2:.2f}"
        f" (p {numbers.p_value(f.p)}; corrected for ties {f.chi2_ties:.2f}, p {numbers.p_value(f.p_ties)}), Iman-Davenport F {f.f:.2f}"
        f" (p {numbers.p_value(f.p_f)}), Nemenyi CD {table.critical_difference:.2f} at {table.alpha:g}."
    ]
    for row in sorted(table.against_control, key=lambda r: r.p_adjusted):
        lines.append(
            f"- {table.regime}, {row.strategy} against {baseline}: better on {row.wins}, equal on {row.ties}, worse on {row.losses} of"
            f" {row.n} data sets; Wilcoxon p {numbers.p_value(row.p)}, Holm {numbers.p_value(row.p_adjusted)}"
            f" (smallest reachable before correction {row.smallest_p:.3g})."
        )
    return lines


def _penalty(p: PenaltyMatrix) -> str:
    order = sorted(zip(p.column_means, p.strategies, strict=True))
    return (
        f"- penalty matrix ({p.definition}, {p.settings} settings), column means, smaller is better:"
        f" {', '.join(f'{s} {m:.2f}' for m, s in order)}; a cell expects {p.null_expectation:.2f} if all are alike"
        f"{'; ' * bool(p.absent())}{p.absent()}."
    )


def _stability(found: Across) -> list[str]:
    lines = []
    for between in ("data sets", "regimes"):
        taus = [a.tau for a in found.agreement if a.between == between and math.isfinite(a.tau)]
        if taus:
            lines.append(
                f"- rankings of two {between} agree with Kendall's tau {np.mean(taus):.2f} on average ({min(taus):.2f} to {max(taus):.2f})."
            )
    by_n = {n: [s.winner_changes for s in found.seeds if s.n == n] for n in sorted({s.n for s in found.seeds})}
    if by_n:
        shown = ", ".join(
            f"{np.mean(v):.0%} with n = {n}" for n, v in by_n.items() if n in (1, 3, 5, 10) or n == max(by_n)
        )
        lines.append(f"- two studies of n seeds each name different winners: {shown}.")
    return lines


def _labels(found: Across) -> list[str]:
    lines = []
    for strategy in dict.fromkeys(s.strategy for s in found.labels):
        last = [s.targets[-1] for s in found.labels if s.strategy == strategy]
        never = sum(r.censored == "right" for r in last)
        needs = [r.labels / r.baseline_labels for r in last]
        middle = float(np.median(needs))
        words = (
            f"{middle:.0%} of {found.baseline}'s labels (median)"
            if math.isfinite(middle)
            else "more labels than were bought in most settings"
        )
        lines.append(
            f"- to reach {found.baseline}'s best accuracy {strategy} needs {words} over {len(last)} settings"
            + (f"; in {never} it never gets there." if never else ".")
        )
    return lines


def _levers(found: Across) -> list[str]:
    lines = []
    base = next(iter(found.regimes), "")  # as `analysis.across.levers.levers` has it, unless told otherwise
    for kind, name, regime in dict.fromkeys((r.lever, r.name, r.regime) for r in found.levers):
        own = [r for r in found.levers if (r.lever, r.name, r.regime) == (kind, name, regime)]
        per = [[r for r in own if r.dataset == d] for d in dict.fromkeys(r.dataset for r in own)]
        first, last = ([rows[i].points for rows in per] for i in (0, -1))
        worth = [rows[0].labels_worth for rows in per]
        known = [w for w in worth if not math.isnan(w)]
        labels = f", worth {_labels_word(_middle(known))} labels at the first" if known else ""
        what = f"regime {name} (over {base})" if kind == "regime" else f"{name} within {regime}"
        lines.append(
            f"- lever {what}: {numbers.signed(float(np.mean(first)))} at the first budget, {numbers.signed(float(np.mean(last)))} at the last{labels}."
        )
    return lines


def _middle(values: list[float]) -> float:
    """The median; between two that do not average (infinite), the lower."""
    low, high = sorted(values)[(len(values) - 1) // 2], sorted(values)[len(values) // 2]
    return (low + high) / 2 if math.isfinite(low) and math.isfinite(high) else low


def _labels_word(labels: float) -> str:
    if math.isfinite(labels):
        return f"{labels:+.0f}"
    return (
        "more than the base regime's last budget in"
        if labels > 0
        else "minus more than can be read off the base regime's"
    )


def _share(value: float) -> str:
    return f"{value:.0%}"


def _count(names: Iterable[str], noun: str) -> str:
    n = len(list(names))
    return f"{n} {noun}{'s' * (n != 1)}"
