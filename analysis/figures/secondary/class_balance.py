"""Classes of the purchases: the share of each class among the labels that a strategy bought."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import (
    NAME,
    add_colour_bar,
    add_footnote,
    count_in_words,
    heat_map,
    highest,
    line_count,
    names_height,
    panels,
    range_within,
    select,
)
from analysis.figures.style import style_context
from analysis.secondary.purchases import balance

NAMED = 24
"""Largest number of classes that are all named below the map."""


def draw_class_balance(ax: Axes, frame: pd.DataFrame, names: Sequence[str], high: float, cell: float = 0.3) -> Axes:
    """Draw the share of each class among the purchases of the named strategies.

    Args:
        frame: rows of `balance` of one protocol.
        high: share at the end of the colour map.
        cell: width of a cell, inches.
    """
    classes = frame.drop_duplicates("number").sort_values("number")["label"].astype(str).tolist()
    grid = frame.pivot(index="strategy", columns="number", values="share").reindex(list(names))  # noqa: PD010
    heat_map(ax, grid.to_numpy(dtype=np.float64), names, classes, cell, low=0, high=high)
    if len(classes) > NAMED:
        step = -(-len(classes) // NAMED)
        ax.set_xticks(range(0, len(classes), step), classes[::step], rotation=90)
    return ax


def class_balance(inputs: FigureInputs) -> StudyFigure | str:
    """Draw the class shares, one panel per protocol whose data set is available."""
    curves, frame = inputs.curves, balance(inputs.curves, inputs.bought)
    if frame.empty:
        why = "; ".join(dict.fromkeys(inputs.bought.absent.values()))
        why = f": {why}" if why else ""
        return f"classes are not known{why}; records hold no labels, so the data set itself is needed"
    n = count_in_words(frame["n"], "run")
    names, labels, high = inputs.present(frame), list(frame["label"].astype(str).unique()), float(frame["share"].max())
    figure = heat_maps(
        inputs,
        frame,
        lambda ax, rows, cell: draw_class_balance(ax, rows, names, high, cell),
        names,
        labels,
        "share of purchases",
        columns=int(frame.groupby("protocol")["number"].nunique().max()),
    )
    caption = (
        "Class balance of the purchases: share of each class among the images that a strategy's queries bought by "
        f"the last budget (initial set excluded), mean over n = {n}. {curves.baseline} shows the shares of the pool. "
        f"The CSV has the counts. No band, no test.{inputs.upper}"
    )
    uneven = highest(range_within(frame, ["protocol", "strategy"], "share"), "share")
    alt = (
        "Heat maps of class shares, strategies by classes, one panel per protocol. The most uneven is "
        f"{uneven['strategy']} under {uneven['protocol']}: largest and smallest share differ by {uneven['share']:.2f}."
    )
    return StudyFigure("class-balance", "Classes of what was bought", figure, frame, caption, alt)


def heat_maps(
    inputs: FigureInputs,
    frame: pd.DataFrame,
    draw: Callable[[Axes, pd.DataFrame, float], object],
    names: Sequence[str],
    below: Sequence[str],
    what: str,
    columns: int,
) -> Figure:
    """Draw one heat map per protocol on a common scale, with cells as large as possible.

    Args:
        draw: draws one map from its rows of `frame`, given the width of a cell (inches).
        names, below: names of the rows and of the columns.
        what: what the colours mean.
        columns: largest number of columns of a map; up to eight let two maps stand side by side.
    """
    protocols = list(dict.fromkeys(frame["protocol"]))
    side = 1 if columns > 8 or len(protocols) == 1 or inputs.venue.page < 6 else 2
    named = 0.055 * min(NAME, max(map(len, names)))
    cell = (inputs.venue.page / side - 0.8 - named) / max(columns, 1)
    height = max(0.13 * line_count(names), min(0.2, cell)) * len(names) + 0.55 + names_height(below, cell)

    def draw_panel(ax: Axes, protocol: str) -> None:
        draw(ax, select(frame, protocol=protocol), cell)

    with style_context(inputs.venue):
        figure = panels(protocols, draw_panel, height, inputs.venue, columns=side, wide=True, beside=0.5 + named)
        add_colour_bar(figure, [ax for ax in figure.axes if ax.axison])
        add_footnote(figure, what)
    return figure
