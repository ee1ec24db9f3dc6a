"""Accuracy against what a query cost."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import each, highest, legend, own, panels, seeds_in_words
from analysis.figures.style import LineStyle, style_context

FLOOR = 1e-4
"""Seconds below which a query is drawn as this fast: a logarithmic axis has no zero."""


def draw_query_cost(ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle]) -> Axes:
    """Mean AUBC against mean seconds a query, a mark per strategy; up and to the left is better. Rows of one protocol."""
    base = frame.iloc[:1]
    for row in each(frame):
        style = styles[str(row.strategy)]
        ax.plot(
            [max(row.seconds, FLOOR)],
            [row.value],
            label=row.strategy,
            **style.line() | {"linestyle": "none", "markersize": 5},
        )
    if len(base):
        ax.axhline(float(base["value"].iloc[0]), color="black", linewidth=0.6, zorder=1.5)
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    if high / low < 30:
        ax.set_xlim(low / 3, high * 3)
    ax.xaxis.set_major_locator(LogLocator(numticks=5))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.set_xlabel("seconds a query")
    ax.set_ylabel("AUBC")
    return ax


def query_cost(inputs: FigureInputs) -> StudyFigure | str:
    """All protocols, the baseline first."""
    curves = inputs.curves
    frame = inputs.details.query_cost.to_frame()
    if frame.empty:
        return "no cost of queries is known: a table of curves does not say it"
    frame["place"] = frame["strategy"].map({s: i for i, s in enumerate(curves.strategies)})
    frame = frame.sort_values(["protocol", "place"]).drop(columns="place")
    protocols = [p for p in curves.protocols if p in set(frame["protocol"])]
    n = seeds_in_words(frame["runs"], "run")
    with style_context(inputs.venue):
        figure = panels(
            protocols, lambda ax, p: draw_query_cost(ax, own(frame, protocol=p), inputs.styles), 1.9, inputs.venue
        )
        legend(
            figure,
            [s for s in curves.strategies if s in set(frame["strategy"])],
            inputs.styles,
            f"Means over {n}; line across: {curves.baseline}",
        )
    caption = (
        f"Accuracy and cost: mean {inputs.endpoint} over n = {n} against the mean wall-clock seconds of a query (features, an ensemble's further members and the strategy's "
        f"own training included). Line across: {curves.baseline}. Times depend on the machine and what else ran on it. No band, no test.{inputs.upper}"
    )
    slowest = highest(frame, "seconds")
    alt = f"Marks, one per strategy, one panel per protocol. The slowest is {slowest['strategy']} under {slowest['protocol']}, {slowest['seconds']:.2f} s a query."
    return StudyFigure("query-cost", "Accuracy and what a query cost", figure, frame, caption, alt)
