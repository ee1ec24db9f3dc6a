"""What each lever is worth, in points and in labels; and whether strategies rank alike under every regime."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.across.tables import frames
from analysis.figures.layout import (
    dodge,
    each,
    folded,
    highest,
    interval,
    legend,
    own,
    panels,
    rows,
    seeds_in_words,
    spread_of,
    wrapped,
    zone,
)
from analysis.figures.plate import Material, Plate
from analysis.figures.style import SMALL, Look, applied

Unit = Literal["points", "labels"]
REGIME = Look("0.25", "o", (0, ()), 3.0)


def lever_rows(ax: Axes, frame: pd.DataFrame, look: Mapping[str, Look], unit: Unit) -> Axes:
    """A row per regime lever, and one per regime with all strategies pulled within it.

    In labels, a value that the yardstick never reaches stands as an open arrow at its lower bound.

    Args:
        frame: rows of `frames(across)["levers"]` of one data set and one budget.
    """
    places = [("regime", str(n)) for n in own(frame, lever="regime")["name"]]
    places += [("strategy", str(r)) for r in dict.fromkeys(own(frame, lever="strategy")["regime"])]
    ax.axvline(0.0, color="black", linewidth=0.8, zorder=1.5)
    for place, (lever, key) in enumerate(places):
        pulled = own(frame, lever=lever, **{"name" if lever == "regime" else "regime": key})
        for i, row in enumerate(each(pulled)):
            shift = 0.0 if len(pulled) < 2 else (i / (len(pulled) - 1) - 0.5) * 0.76
            style = look[str(row.name)] if lever == "strategy" else REGIME
            if unit == "points":
                interval(ax, place + shift, row.points, row.low, row.high, style, thin=lever == "strategy")
            elif math.isfinite(row.labels_worth):
                interval(
                    ax,
                    place + shift,
                    row.labels_worth,
                    _finite(row.worth_low),
                    _finite(row.worth_high),
                    style,
                    thin=lever == "strategy",
                )
            elif math.isfinite(row.at_least):
                ax.plot(
                    [row.at_least],
                    [place + shift],
                    marker=">",
                    color=style.colour,
                    markerfacecolor="white",
                    markersize=4.5,
                    linestyle="none",
                    zorder=3,
                )
    rows(ax, [n if kind == "regime" else f"strategies, {n}" for kind, n in places])
    ax.axhline(sum(kind == "regime" for kind, _ in places) - 0.5, color="0.8", linewidth=0.6)
    return ax


def _finite(bound: float) -> float:
    return bound if math.isfinite(bound) else math.nan


def levers(material: Material) -> Plate | str:
    """Points halfway through the budgets and at the last, labels worth halfway; a row of panels per data set."""
    frame = frames(material.across)["levers"]
    if frame.empty:
        why = [n for n in material.across.notes if n.startswith("levers")]
        return why[0] if why else "levers need the baseline under two regimes of one data set, paired"
    datasets = list(dict.fromkeys(frame["dataset"]))
    names = [s for s in material.others if s in set(own(frame, lever="strategy")["name"])]
    per = max(len(names), 1)
    places = max(
        own(frame, dataset=d, lever="regime")["name"].nunique() + own(frame, dataset=d)["regime"].nunique()
        for d in datasets
    )
    regimes = frame["regime"].nunique()
    height = 0.65 + 0.2 * (places - regimes) + max(0.22, 0.062 * per) * regimes
    n = seeds_in_words(frame["n"])
    with applied(material.venue):
        figure = Figure(figsize=(material.venue.page, height * len(datasets)), layout="constrained")
        grid = figure.subplots(len(datasets), 3, squeeze=False)
        for row, dataset in zip(grid, datasets, strict=True):
            _panels(row, own(frame, dataset=dataset), material, dataset if len(datasets) > 1 else "", per)
        legend(figure, names, material.look, f"Grey marks: regimes. Bars: 95 % interval, {n}. Open arrows: at least")
    base = material.across.regimes[0] if material.across.regimes else "the first"
    caption = (
        f"Lever decomposition. Rows of regimes: {material.curves.baseline} under the regime minus under {base}, at equal labels. Rows of strategies: strategy minus "
        f"{material.curves.baseline} within the regime. In points of {material.metric} (bars: 95 % t interval, paired, n = {n}) and in labels worth: how many more labels "
        f"{material.curves.baseline} under {base} needs for the same rise (bars: 95 % bootstrap interval, none for fewer than 6 seeds; open arrows: more than its last budget, at least so "
        "many). Points halfway and at the last budget, labels halfway; the others are in the CSV. Secondary: it changes no verdict."
    )
    last = frame[frame["budget"] == frame.groupby("dataset")["budget"].transform("max")]
    largest = highest(last.assign(size=last["points"].abs()), "size")
    alt = (
        f"Marks with intervals, regimes above strategies. The largest effect at the last budget: {largest['lever']} {largest['name']} within {largest['regime']} on "
        f"{largest['dataset']}, {largest['points']:+.4f}."
    )
    return Plate("levers", "What each lever is worth", figure, frame, caption, alt)


def _panels(axes: Sequence[Axes], frame: pd.DataFrame, material: Material, title: str, per: int) -> None:
    budgets = sorted(frame["budget"].unique())
    for place, ax in enumerate(axes):
        budget = (
            budgets[-1] if place == 1 or len(budgets) < 2 else budgets[len(budgets) // 2]
        )  # at the last, labels worth are bounds as a rule
        unit: Unit = "points" if place < 2 else "labels"
        lever_rows(ax, own(frame, budget=budget), material.look, unit)
        regimes = own(frame, budget=budget, lever="regime")["name"].nunique()
        _heights(ax, regimes, max(0.22, 0.062 * per) / 0.2)
        ax.tick_params(axis="y", labelleft=not place)
        ax.set_title(f"{unit} at {budget}", loc="left")
        ax.set_xlabel("labels worth" if unit == "labels" else f"{material.metric}")
        if title and not place:
            ax.set_ylabel(wrapped(title))


def _heights(ax: Axes, regimes: int, ratio: float) -> None:
    """Rows of strategies are taller than rows of regimes, as many strategies as stand in them."""
    if ratio <= 1:
        return

    def forward(y: Any) -> Any:
        y = np.asarray(y, dtype=np.float64)
        edge = regimes - 0.5
        return np.where(y > edge, edge + (y - edge) * ratio, y)

    def back(y: Any) -> Any:
        y = np.asarray(y, dtype=np.float64)
        edge = regimes - 0.5
        return np.where(y > edge, edge + (y - edge) / ratio, y)

    ticks, names = ax.get_yticks(), [t.get_text() for t in ax.get_yticklabels()]
    limits = ax.get_ylim()
    ax.set_yscale("function", functions=(forward, back))
    ax.set_yticks(ticks, names)
    ax.set_yticks([], minor=True)
    ax.set_ylim(limits)


def interaction_lines(
    ax: Axes, frame: pd.DataFrame, regimes: Sequence[str], look: Mapping[str, Look], delta: float
) -> Axes:
    """Difference to the baseline under each regime, a line per strategy: lines that cross are an interaction.

    Args:
        frame: rows of `Comparison.to_frame` of one data set.
    """
    zone(ax, delta, horizontal=True)
    names = list(frame["strategy"].unique())
    for place, strategy in enumerate(names):
        mine = (
            own(frame, strategy=strategy)
            .set_index("regime")
            .reindex(list(regimes))
            .astype({"difference": float, "low": float, "high": float})
        )
        places = np.arange(len(regimes), dtype=np.float64)
        x = places + dodge(places, place, len(names))
        bars = np.nan_to_num(np.stack([mine["difference"] - mine["low"], mine["high"] - mine["difference"]]))
        ax.errorbar(
            x,
            mine["difference"].to_numpy(),
            bars,
            label=strategy,
            elinewidth=0.6,
            **look[strategy].line() | {"linewidth": 0.8, "markersize": 3},
        )
    ax.set_xlim(-0.5, len(regimes) - 0.5)
    ax.set_xticks(range(len(regimes)), [wrapped(r, 12) for r in regimes])
    return ax


def interaction(material: Material) -> Plate | str:
    """A panel per data set with two regimes or more."""
    curves = material.curves
    frame = material.comparison.to_frame()
    frame = frame[frame["n"] > 0] if len(frame) else frame
    several = (
        [d for d in dict.fromkeys(frame["dataset"]) if len(set(own(frame, dataset=d)["regime"])) > 1]
        if len(frame)
        else []
    )
    frame = frame[frame["dataset"].isin(several)]
    if frame.empty or frame.duplicated(["dataset", "regime", "strategy"]).any():
        return "needs two regimes of one data set, one protocol each"
    regimes = [r for r in dict.fromkeys(r for _, r in curves.places.values()) if r in set(frame["regime"])]
    n = seeds_in_words(frame["n"], curves.unit)
    with applied(material.venue):

        def draw(ax: Axes, dataset: str) -> None:
            interaction_lines(ax, own(frame, dataset=dataset), regimes, material.look, curves.plan.delta)
            ax.set_ylabel(folded(f"difference to {curves.baseline}", 1.4))

        figure = panels(
            several, draw, 2.0, material.venue, columns=2, wide=len(regimes) > 3 or len(material.others) > 6
        )
        for ax in figure.axes:
            if max((len(r) for r in regimes), default=0) > 10 or len(regimes) > 5:
                ax.tick_params(axis="x", labelrotation=90, labelsize=SMALL)
        legend(
            figure,
            [s for s in material.others if s in set(frame["strategy"])],
            material.look,
            f"Bars: 95 % t interval, {n}. Grey: within ±{curves.plan.delta:g}",
        )
    caption = (
        f"Regime and strategy: paired difference to {curves.baseline} in {material.endpoint} under each regime, n = {n}. Bars: 95 % t interval of each comparison for "
        f"itself. Grey zone: equivalent within ±{curves.plan.delta:g}. Lines that cross rank differently. The verdicts ({material.tested}) are made regime by regime; "
        "the interaction itself is not tested here."
    )
    most = highest(spread_of(frame, ["dataset", "strategy"], "difference"), "difference")
    alt = f"Lines over regimes, one per strategy, one panel per data set. The gain of {most['strategy']} on {most['dataset']} changes most, by {most['difference']:.4f}."
    return Plate("interaction", "Regimes and strategies", figure, frame, caption, alt)
