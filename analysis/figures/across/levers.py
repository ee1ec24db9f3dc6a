"""Effect of each regime and each strategy, in points and in equivalent extra labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.across.tables import frames
from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import add_legend, count_in_words, draw_interval, each, highest, label_rows, select, wrap
from analysis.figures.style import LineStyle, style_context

Unit = Literal["points", "labels"]
REGIME = LineStyle("0.25", "o", (0, ()), 3.0)


def draw_levers(ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle], unit: Unit) -> Axes:
    """Draw one row per regime, and below them one row per regime with all strategies within it.

    In labels, a value that the baseline curve never reaches is an open arrow at its lower bound.

    Args:
        frame: rows of `frames(across)["levers"]` of one data set and one budget.
    """
    places = [("regime", str(n)) for n in select(frame, lever="regime")["name"]]
    places += [("strategy", str(r)) for r in dict.fromkeys(select(frame, lever="strategy")["regime"])]
    ax.axvline(0.0, color="black", linewidth=0.8, zorder=1.5)
    for place, (kind, key) in enumerate(places):
        rows = select(frame, lever=kind, **{"name" if kind == "regime" else "regime": key})
        thin = kind == "strategy"
        for i, row in enumerate(each(rows)):
            y = place + (0.0 if len(rows) < 2 else (i / (len(rows) - 1) - 0.5) * 0.76)
            style = styles[str(row.name)] if kind == "strategy" else REGIME
            if unit == "points":
                draw_interval(ax, y, row.points, row.low, row.high, style, thin=thin)
            elif math.isfinite(row.labels_worth):
                low, high = (b if math.isfinite(b) else math.nan for b in (row.worth_low, row.worth_high))
                draw_interval(ax, y, row.labels_worth, low, high, style, thin=thin)
            elif math.isfinite(row.at_least):
                arrow: dict[str, Any] = {
                    "marker": ">",
                    "markerfacecolor": "white",
                    "markersize": 4.5,
                    "linestyle": "none",
                    "zorder": 3,
                }
                ax.plot([row.at_least], [y], color=style.colour, **arrow)
    label_rows(ax, [n if kind == "regime" else f"strategies, {n}" for kind, n in places])
    ax.axhline(sum(kind == "regime" for kind, _ in places) - 0.5, color="0.8", linewidth=0.6)
    return ax


def levers(inputs: FigureInputs) -> StudyFigure | str:
    """Draw effects in points halfway and at the last budget, and in labels halfway.

    There is one row of panels per data set.
    """
    frame = frames(inputs.across)["levers"]
    if frame.empty:
        why = [n for n in inputs.across.notes if n.startswith("levers")]
        return why[0] if why else "needs the baseline under two regimes of one data set, paired"
    datasets = list(dict.fromkeys(frame["dataset"]))
    names = [s for s in inputs.compared if s in set(select(frame, lever="strategy")["name"])]
    regimes = frame["regime"].nunique()
    rows = max(
        select(frame, dataset=d, lever="regime")["name"].nunique() + select(frame, dataset=d)["regime"].nunique()
        for d in datasets
    )
    tall = max(0.22, 0.062 * max(len(names), 1))  # inches of a row of strategies
    height = 0.65 + 0.2 * (rows - regimes) + tall * regimes
    n = count_in_words(frame["n"])
    with style_context(inputs.venue):
        figure = Figure(figsize=(inputs.venue.page, height * len(datasets)), layout="constrained")
        grid = figure.subplots(len(datasets), 3, squeeze=False)
        for axes, dataset in zip(grid, datasets, strict=True):
            _draw_row(axes, select(frame, dataset=dataset), inputs, tall / 0.2)
            if len(datasets) > 1:
                axes[0].set_ylabel(wrap(dataset))
        note = f"Grey marks: regimes. Bars: 95 % interval, {n}. Open arrows: at least"
        add_legend(figure, names, inputs.styles, note)
    first, baseline = inputs.across.regimes[0] if inputs.across.regimes else "the first", inputs.curves.baseline
    caption = (
        f"Effect of each factor. Rows of regimes: {baseline} under the regime minus {baseline} under {first}, at "
        f"equal labels. Rows of strategies: strategy minus {baseline} within the regime. Points are in "
        f"{inputs.metric} (bars: paired 95 % t interval, n = {n}). Equivalent extra labels are how many more labels "
        f"{baseline} under {first} needs for the same rise (bars: 95 % bootstrap interval, none for fewer than 6 "
        "seeds; open arrows: lower bounds, as the curve ends first). Points are shown halfway and at the last "
        "budget, labels halfway; the CSV has the other budgets. Secondary: it changes no verdict."
    )
    last = frame[frame["budget"] == frame.groupby("dataset")["budget"].transform("max")]
    largest = highest(last.assign(size=last["points"].abs()), "size")
    alt = (
        f"Marks with intervals, regimes above strategies. The largest effect at the last budget: {largest['lever']} "
        f"{largest['name']} within {largest['regime']} on {largest['dataset']}, {largest['points']:+.4f}."
    )
    return StudyFigure("levers", "Effect of each factor", figure, frame, caption, alt)


def _draw_row(axes: Sequence[Axes], frame: pd.DataFrame, inputs: FigureInputs, ratio: float) -> None:
    budgets = sorted(frame["budget"].unique())
    halfway = budgets[len(budgets) // 2] if len(budgets) > 1 else budgets[-1]
    # in labels halfway only: at the last budget they are lower bounds as a rule
    shown: tuple[tuple[Unit, Any], ...] = (("points", halfway), ("points", budgets[-1]), ("labels", halfway))
    for place, (ax, (unit, budget)) in enumerate(zip(axes, shown, strict=True)):
        draw_levers(ax, select(frame, budget=budget), inputs.styles, unit)
        _stretch_strategies(ax, select(frame, budget=budget, lever="regime")["name"].nunique(), ratio)
        ax.tick_params(axis="y", labelleft=not place)
        ax.set_title(f"{unit} at {budget}", loc="left")
        ax.set_xlabel("equivalent extra labels" if unit == "labels" else inputs.metric)


def _stretch_strategies(ax: Axes, regimes: int, ratio: float) -> None:
    """Make rows of strategies `ratio` times as tall as rows of regimes, since they hold many marks."""
    if ratio <= 1:
        return
    edge = regimes - 0.5

    def scale_below(factor: float) -> Any:
        def transform(y: Any) -> NDArray[np.float64]:
            y = np.asarray(y, dtype=np.float64)
            return np.asarray(np.where(y > edge, edge + (y - edge) * factor, y))

        return transform

    ticks, names = ax.get_yticks(), [t.get_text() for t in ax.get_yticklabels()]
    limits = ax.get_ylim()
    ax.set_yscale("function", functions=(scale_below(ratio), scale_below(1 / ratio)))
    ax.set_yticks(ticks, names)
    ax.set_yticks([], minor=True)
    ax.set_ylim(limits)
