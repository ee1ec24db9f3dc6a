"""How stable the ranking is as seeds are added."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.across.tables import frames
from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import add_legend, each, label_axes, select
from analysis.figures.style import LineStyle, line_styles, style_context

LABELS = {"tau": "Kendall's tau between them", "winner_changes": "different winners"}


def draw_stability(ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle], column: str) -> Axes:
    """Draw `tau` or `winner_changes` against n, one line per protocol.

    Args:
        frame: `frames(across)["seeds"]`.
        styles: protocol -> style.
    """
    for protocol in dict.fromkeys(frame["protocol"]):
        rows = select(frame, protocol=protocol)
        ax.plot(rows["n"], rows[column], label=protocol, **styles[protocol].line())
    ax.set_ylim(min(-0.03, float(frame[column].min()) - 0.05), 1.03)
    return label_axes(ax, "seeds in each of two studies", LABELS[column])


def ranking_stability(inputs: FigureInputs) -> StudyFigure | str:
    """Draw the agreement of two rankings, and how often their winners differ."""
    frame = frames(inputs.across)["seeds"]
    if frame.empty:
        return "needs two strategies that share two seeds or more, paired"
    protocols = list(dict.fromkeys(frame["protocol"]))
    styles = line_styles(protocols, "")
    draws, seeds = int(frame["draws"].max()), 2 * int(frame["n"].max())
    with style_context(inputs.venue):
        figure = Figure(figsize=(inputs.venue.page, 1.9), layout="constrained")
        for ax, column in zip(figure.subplots(1, 2), LABELS, strict=True):
            draw_stability(ax, frame, styles, column)
        add_legend(figure, protocols, styles, f"Means over {draws} splits of the seeds into two studies; no band")
    caption = (
        "Ranking stability: two studies of n seeds each, drawn without overlap from this study's seeds (up to "
        f"{seeds} used), {draws} draws. Left: Kendall's tau-b between their rankings by AUBC; 1 is the same order. "
        "Right: share of draws in which their winners differ. Means over draws, no band, no test."
    )
    most = frame[frame["n"] == frame.groupby("protocol")["n"].transform("max")]
    values = "; ".join(
        f"{r.protocol} tau {r.tau:.2f}, different winners in {r.winner_changes:.0%} with n = {r.n}" for r in each(most)
    )
    alt = f"Lines over the number of seeds, one per protocol. With the most seeds: {values}."
    return StudyFigure("ranking-stability", "Ranking stability with seeds", figure, frame, caption, alt)
