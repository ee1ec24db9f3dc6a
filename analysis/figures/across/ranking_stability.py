"""How stable the ranking is as seeds are added."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.across.tables import frames
from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import each, finish, legend, own
from analysis.figures.style import LineStyle, line_styles, style_context


def draw_stability(ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle], column: str) -> Axes:
    """`tau` or `winner_changes` against n, a line per protocol; `frame` is `frames(across)["seeds"]`."""
    for protocol in dict.fromkeys(frame["protocol"]):
        line = own(frame, protocol=protocol)
        ax.plot(line["n"], line[column], label=protocol, **styles[protocol].line())
    ax.set_ylim(min(-0.03, float(frame[column].min()) - 0.05), 1.03)
    return finish(
        ax,
        "seeds in each of two studies",
        {"tau": "Kendall's tau between them", "winner_changes": "another winner"}[column],
    )


def ranking_stability(inputs: FigureInputs) -> StudyFigure | str:
    """Agreement of the rankings beside how often the winner changes."""
    frame = frames(inputs.across)["seeds"]
    if frame.empty:
        return "needs two strategies that share two seeds or more, paired"
    protocols = list(dict.fromkeys(frame["protocol"]))
    styles = line_styles(protocols, "")
    draws = int(frame["draws"].max())
    with style_context(inputs.venue):
        figure = Figure(figsize=(inputs.venue.page, 1.9), layout="constrained")
        for ax, column in zip(figure.subplots(1, 2), ("tau", "winner_changes"), strict=True):
            draw_stability(ax, frame, styles, column)
        legend(figure, protocols, styles, f"Means over {draws} splits of the seeds into two studies; no band")
    seeds = 2 * int(frame["n"].max())
    caption = (
        f"Ranking stability: two studies of n seeds each, drawn without overlap from this study's seeds (up to {seeds} used), {draws} draws. Left: Kendall's tau-b "
        "between their rankings by AUBC, 1 for the same order. Right: share of draws in which they name different winners. Means over draws, no band, no test."
    )
    most = frame[frame["n"] == frame.groupby("protocol")["n"].transform("max")]
    alt = "Lines over the number of seeds, one per protocol. With most seeds: " + "; ".join(
        f"{r.protocol} tau {r.tau:.2f}, another winner in {r.winner_changes:.0%} with n = {r.n}" for r in each(most)
    )
    return StudyFigure("ranking-stability", "Ranking stability with seeds", figure, frame, caption, f"{alt}.")
