"""Reliability diagram: accuracy against confidence at the end of the budget."""

from __future__ import annotations

from typing import Final

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import each, finish, legend, own, panels, seeds_in_words
from analysis.figures.style import style_context
from analysis.secondary.confidence import pool_bins

HEIGHT: Final = 2.2
FEWEST: Final = 0.005
"""Share of the images that a bin holds at least to be drawn: below, its accuracy is noise."""


def draw_reliability(ax: Axes, frame: pd.DataFrame, inputs: FigureInputs) -> Axes:
    """One protocol's panel.

    Args:
        frame: as `analysis.secondary.confidence.pool_bins` gives it, one protocol's rows.
    """
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=0)
    for strategy, rows in frame[frame["share"] >= FEWEST].groupby("strategy", sort=False):
        ax.plot(rows["confidence"], rows["accuracy"], **inputs.styles[str(strategy)].line())
    ax.set(xlim=(0, 1), ylim=(0, 1))
    return finish(ax, "confidence", "accuracy", whole=False)


def reliability(inputs: FigureInputs) -> StudyFigure | str:
    """A panel per protocol whose runs kept probabilities."""
    curves = inputs.curves
    if curves.reliability.empty:
        return "no probabilities were kept, or the source is a table"
    frame = pool_bins(curves.reliability)
    protocols = [p for p in curves.protocols if p in set(frame["protocol"])]
    n = seeds_in_words(frame["n"], curves.unit)
    with style_context(inputs.venue):
        figure = panels(
            protocols, lambda ax, p: draw_reliability(ax, own(frame, protocol=p), inputs), HEIGHT, inputs.venue
        )
        shown = [s for s in curves.strategies if s in set(frame["strategy"])]
        legend(figure, shown, inputs.styles, f"Test images of {n} together; dotted: as right as it is sure")
    caption = (
        f"Reliability at the last budget: accuracy of the test images whose predicted class has a probability in the same of 15 bins, against "
        f"the bin's mean probability; images of n = {n} together, bins with less than {FEWEST:.1%} of the images left out. Below the dotted "
        f"line the classifier is surer than it is right. No band; nothing is tested here.{inputs.upper}"
    )
    gaps = frame.assign(gap=(frame["accuracy"] - frame["confidence"]) * frame["share"])
    gaps = gaps.groupby(["protocol", "strategy"], sort=False)["gap"].sum().reset_index()
    words = "; ".join(f"{row.strategy} under {row.protocol} {row.gap:+.3f}" for row in each(gaps))
    alt = f"Accuracy against confidence, one line per strategy, a panel per protocol. Accuracy less confidence over all images: {words}."
    return StudyFigure("reliability", "Reliability", figure, frame, caption, alt)
