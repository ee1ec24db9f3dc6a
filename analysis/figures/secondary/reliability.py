"""Reliability diagram: accuracy against confidence at the end of the budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.figure import FigureInputs, StudyFigure, panelled
from analysis.figures.layout import count_in_words, each, label_axes
from analysis.figures.style import LineStyle
from analysis.secondary.confidence import pool_bins

HEIGHT: Final = 2.2
FEWEST: Final = 0.005
"""Smallest share of the images for which a bin is drawn; below it the accuracy is noise."""


def draw_reliability(ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle]) -> Axes:
    """Draw accuracy against confidence, one line per strategy.

    Args:
        frame: rows of `analysis.secondary.confidence.pool_bins` of one protocol.
    """
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=0)
    for strategy, rows in frame[frame["share"] >= FEWEST].groupby("strategy", sort=False):
        ax.plot(rows["confidence"], rows["accuracy"], **styles[str(strategy)].line())
    ax.set(xlim=(0, 1), ylim=(0, 1))
    return label_axes(ax, "confidence", "accuracy", whole=False)


def reliability(inputs: FigureInputs) -> StudyFigure | str:
    """Draw the diagram, one panel per protocol whose runs kept probabilities."""
    curves = inputs.curves
    if curves.reliability.empty:
        return "no probabilities were kept, or the source is a table"
    frame = pool_bins(curves.reliability)
    n = count_in_words(frame["n"], curves.unit)
    figure = panelled(
        inputs,
        frame,
        lambda ax, rows, _: draw_reliability(ax, rows, inputs.styles),
        HEIGHT,
        f"Test images of {n} together; dotted: perfectly calibrated",
        legend=inputs.present(frame),
    )
    caption = (
        "Reliability at the last budget. Test images are divided into 15 bins by the probability of their predicted "
        f"class; each point is the accuracy of a bin against its mean probability. Images of n = {n} together; bins "
        f"with less than {FEWEST:.1%} of the images are left out. Dotted: perfectly calibrated; below it the "
        f"classifier is overconfident. No band; nothing is tested here.{inputs.upper}"
    )
    gaps = frame.assign(gap=(frame["accuracy"] - frame["confidence"]) * frame["share"])
    gaps = gaps.groupby(["protocol", "strategy"], sort=False)["gap"].sum().reset_index()
    values = "; ".join(f"{row.strategy} under {row.protocol} {row.gap:+.3f}" for row in each(gaps))
    alt = (
        "Accuracy against confidence, one line per strategy, one panel per protocol. "
        f"Accuracy minus confidence over all images: {values}."
    )
    return StudyFigure("reliability", "Reliability", figure, frame, caption, alt)
