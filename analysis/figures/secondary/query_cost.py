"""Accuracy against the cost of a query."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from analysis.figures.figure import FigureInputs, StudyFigure, panelled
from analysis.figures.layout import count_in_words, each, highest
from analysis.figures.style import LineStyle

FLOOR = 1e-4
"""Faster queries are drawn at this many seconds, since a logarithmic axis has no zero."""


def draw_query_cost(ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle]) -> Axes:
    """Draw mean AUBC against mean seconds per query, one mark per strategy.

    Higher and further left is better.

    Args:
        frame: rows of `QueryCost` of one protocol, the baseline first.
    """
    for row in each(frame):
        mark = styles[str(row.strategy)].line() | {"linestyle": "none", "markersize": 5}
        ax.plot([max(row.seconds, FLOOR)], [row.value], label=row.strategy, **mark)
    if len(frame):
        ax.axhline(float(frame["value"].iloc[0]), color="black", linewidth=0.6, zorder=1.5)
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    if high / low < 30:
        ax.set_xlim(low / 3, high * 3)
    ax.xaxis.set_major_locator(LogLocator(numticks=5))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.set_xlabel("seconds per query")
    ax.set_ylabel("AUBC")
    return ax


def query_cost(inputs: FigureInputs) -> StudyFigure | str:
    """Draw accuracy and cost, one panel per protocol."""
    curves, frame = inputs.curves, inputs.details.query_cost.to_frame()
    if frame.empty:
        return "the cost of queries is not known: a table of curves does not state it"
    places = frame["strategy"].map({s: i for i, s in enumerate(curves.strategies)})
    frame = frame.assign(place=places).sort_values(["protocol", "place"]).drop(columns="place")
    n = count_in_words(frame["runs"], "run")
    figure = panelled(
        inputs,
        frame,
        lambda ax, rows, _: draw_query_cost(ax, rows, inputs.styles),
        1.9,
        f"Means over {n}; horizontal line: {curves.baseline}",
        legend=inputs.present(frame),
    )
    caption = (
        f"Accuracy and cost: mean {inputs.endpoint} over n = {n} against the mean wall-clock seconds of a query "
        "(including features, further ensemble members and the strategy's own training). Horizontal line: "
        f"{curves.baseline}. Times depend on the machine and on what else it ran. No band, no test.{inputs.upper}"
    )
    slowest = highest(frame, "seconds")
    alt = (
        f"Marks, one per strategy, one panel per protocol. The slowest is {slowest['strategy']} under "
        f"{slowest['protocol']}, {slowest['seconds']:.2f} s per query."
    )
    return StudyFigure("query-cost", "Accuracy and cost of a query", figure, frame, caption, alt)
