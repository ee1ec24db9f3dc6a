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
from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import (
    each,
    highest,
    interval,
    legend,
    own,
    rows,
    seeds_in_words,
    wrapped,
)
from analysis.figures.style import LineStyle, style_context

Unit = Literal["points", "labels"]
REGIME = LineStyle("0.25", "o", (0, ()), 3.0)


def draw_levers(ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle], unit: Unit) -> Axes:
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
            style = styles[str(row.name)] if lever == "strategy" else REGIME
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


def levers(inputs: FigureInputs) -> StudyFigure | str:
    """Points halfway through the budgets and at the last, labels worth halfway; a row of panels per data set."""
    frame = frames(inputs.across)["levers"]
    if frame.empty:
        why = [n for n in inputs.across.notes if n.startswith("levers")]
        return why[0] if why else "levers need the baseline under two regimes of one data set, paired"
    datasets = list(dict.fromkeys(frame["dataset"]))
    names = [s for s in inputs.others if s in set(own(frame, lever="strategy")["name"])]
    per = max(len(names), 1)
    places = max(
        own(frame, dataset=d, lever="regime")["name"].nunique() + own(frame, dataset=d)["regime"].nunique()
        for d in datasets
    )
    regimes = frame["regime"].nunique()
    height = 0.65 + 0.2 * (places - regimes) + max(0.22, 0.062 * per) * regimes
    n = seeds_in_words(frame["n"])
    with style_context(inputs.venue):
        figure = Figure(figsize=(inputs.venue.page, height * len(datasets)), layout="constrained")
        grid = figure.subplots(len(datasets), 3, squeeze=False)
        for row, dataset in zip(grid, datasets, strict=True):
            _panels(row, own(frame, dataset=dataset), inputs, dataset if len(datasets) > 1 else "", per)
        legend(figure, names, inputs.styles, f"Grey marks: regimes. Bars: 95 % interval, {n}. Open arrows: at least")
    base = inputs.across.regimes[0] if inputs.across.regimes else "the first"
    caption = (
        f"Lever decomposition. Rows of regimes: {inputs.curves.baseline} under the regime minus under {base}, at equal labels. Rows of strategies: strategy minus "
        f"{inputs.curves.baseline} within the regime. In points of {inputs.metric} (bars: 95 % t interval, paired, n = {n}) and in labels worth: how many more labels "
        f"{inputs.curves.baseline} under {base} needs for the same rise (bars: 95 % bootstrap interval, none for fewer than 6 seeds; open arrows: more than its last budget, at least so "
        "many). Points halfway and at the last budget, labels halfway; the others are in the CSV. Secondary: it changes no verdict."
    )
    last = frame[frame["budget"] == frame.groupby("dataset")["budget"].transform("max")]
    largest = highest(last.assign(size=last["points"].abs()), "size")
    alt = (
        f"Marks with intervals, regimes above strategies. The largest effect at the last budget: {largest['lever']} {largest['name']} within {largest['regime']} on "
        f"{largest['dataset']}, {largest['points']:+.4f}."
    )
    return StudyFigure("levers", "What each lever is worth", figure, frame, caption, alt)


def _panels(axes: Sequence[Axes], frame: pd.DataFrame, inputs: FigureInputs, title: str, per: int) -> None:
    budgets = sorted(frame["budget"].unique())
    for place, ax in enumerate(axes):
        budget = (
            budgets[-1] if place == 1 or len(budgets) < 2 else budgets[len(budgets) // 2]
        )  # at the last, labels worth are bounds as a rule
        unit: Unit = "points" if place < 2 else "labels"
        draw_levers(ax, own(frame, budget=budget), inputs.styles, unit)
        regimes = own(frame, budget=budget, lever="regime")["name"].nunique()
        _heights(ax, regimes, max(0.22, 0.062 * per) / 0.2)
        ax.tick_params(axis="y", labelleft=not place)
        ax.set_title(f"{unit} at {budget}", loc="left")
        ax.set_xlabel("labels worth" if unit == "labels" else f"{inputs.metric}")
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
