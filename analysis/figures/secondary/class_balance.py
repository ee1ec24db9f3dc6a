"""What was bought: overlap between strategies, and class counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import (
    NAME,
    footnote,
    heat,
    highest,
    lines_of,
    names_height,
    own,
    panels,
    scale,
    seeds_in_words,
    spread_of,
)
from analysis.figures.style import style_context
from analysis.secondary.purchases import balance

NAMED = 24
"""Beyond so many classes only some of their names fit below."""


def draw_class_balance(ax: Axes, frame: pd.DataFrame, names: Sequence[str], high: float, cell: float = 0.3) -> Axes:
    """Share of every class among the purchases of the named strategies; rows of `balance` of one protocol."""
    classes = frame.drop_duplicates("number").sort_values("number")
    grid = frame.pivot(index="strategy", columns="number", values="share").reindex(list(names))  # noqa: PD010
    heat(ax, grid.to_numpy(dtype=np.float64), names, list(classes["label"].astype(str)), cell, low=0, high=high)
    if len(classes) > NAMED:
        step = -(-len(classes) // NAMED)
        ax.set_xticks(range(0, len(classes), step), list(classes["label"].astype(str))[::step], rotation=90)
    return ax


def class_balance(inputs: FigureInputs) -> StudyFigure | str:
    """All protocols whose data set is at hand."""
    curves = inputs.curves
    frame = balance(curves, inputs.bought)
    if frame.empty:
        why = "; ".join(dict.fromkeys(inputs.bought.absent.values()))
        return f"classes are not known{': ' + why if why else ''}; records hold no labels, the data set itself must be at hand"
    n = seeds_in_words(frame["n"], "run")
    names = [s for s in curves.strategies if s in set(frame["strategy"])]
    labels = frame["label"].astype(str).unique()
    high = float(frame["share"].max())

    def draw(ax: Axes, protocol: str, cell: float) -> None:
        draw_class_balance(ax, own(frame, protocol=protocol), names, high, cell)

    columns = max(own(frame, protocol=p)["number"].nunique() for p in frame["protocol"].unique())
    figure = heat_maps(
        inputs,
        list(dict.fromkeys(frame["protocol"])),
        names,
        columns,
        draw,
        list(labels),
        "share of purchases",
    )
    caption = (
        f"Class balance of what was bought: share of every class among the images that a strategy's queries bought by the last budget (initial set left "
        f"out), mean over n = {n}; {curves.baseline} shows the pool's own shares. Counts are in the CSV. No band, no test.{inputs.upper}"
    )
    uneven = highest(spread_of(frame, ["protocol", "strategy"], "share"), "share")
    alt = f"Heat maps of class shares, strategies by classes, one panel per protocol. The most uneven is {uneven['strategy']} under {uneven['protocol']}: largest and smallest share differ by {uneven['share']:.2f}."
    return StudyFigure("class-balance", "Classes of what was bought", figure, frame, caption, alt)


def heat_maps(
    inputs: FigureInputs,
    protocols: Sequence[str],
    names: Sequence[str],
    columns: int,
    draw: Callable[[Axes, str, float], None],
    below: Sequence[str],
    what: str,
) -> Figure:
    """A heat map per protocol, two side by side unless there are many columns; cells as large as they can be."""
    side = 1 if columns > 8 or len(protocols) == 1 or inputs.venue.page < 6 else 2
    named = 0.055 * min(NAME, max(map(len, names)))
    room = inputs.venue.page / side - 0.8 - named
    cell = room / max(columns, 1)
    row = max(0.13 * lines_of(names), min(0.2, cell))
    height = row * len(names) + 0.55 + names_height(below, cell)
    with style_context(inputs.venue):
        figure = panels(
            protocols,
            lambda ax, p: draw(ax, p, cell),
            height,
            inputs.venue,
            columns=side,
            wide=True,
            beside=0.5 + named,
        )
        scale(figure, [ax for ax in figure.axes if ax.axison])
        footnote(figure, what)
    return figure
