"""The critical-difference diagram (Demsar 2006, figure 1): mean ranks on a line, bars under those not told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.across.rank_tables import rank_tables
from analysis.across.result import RankTable
from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import folded, lines_of, wrapped
from analysis.figures.style import PLAIN, SMALL, LineStyle, Venue, style_context
from analysis.formatting.numbers import p_value
from analysis.statistics.ranks import cliques

ROW: Final = 0.19
"""Height of one label, inches."""
WIDE: Final = 34
"""Characters of a name on one line."""
BAR: Final = 0.1
"""Distance between bars, inches."""


def draw_rank_diagram(
    ax: Axes,
    mean_ranks: Mapping[str, float],
    alike: NDArray[np.bool_],
    styles: Mapping[str, LineStyle],
    difference: float | None = None,
) -> Axes:
    """Best strategy to the left; vertical axis in inches below the line.

    Args:
        mean_ranks: strategy -> mean rank, in [1, k].
        alike: (k, k) in the order of `mean_ranks`: pairs that are not told apart. A bar spans the largest groups of
            which every pair is alike, with a dot at each member: groups found by Wilcoxon tests may skip a rank.
        styles: colours of the project.
        difference: Nemenyi's critical difference, drawn as a scale at the top.
    """
    names = list(mean_ranks)
    k = len(names)
    order = sorted(range(k), key=lambda i: mean_ranks[names[i]])
    groups = sorted(cliques(alike), key=lambda g: min(mean_ranks[names[i]] for i in g))
    top = 0.12 + BAR * len(groups)
    high = ROW + 0.11 * (lines_of(names, WIDE) - 1)
    left = order[: -(-k // 2)]
    for level, group in enumerate(groups):
        at = [mean_ranks[names[i]] for i in group]
        ax.plot(
            [min(at), max(at)], [0.12 + BAR * level] * 2, color="0.35", linewidth=2.2, solid_capstyle="round", zorder=3
        )
        ax.plot(at, [0.12 + BAR * level] * len(at), "o", color="0.35", markersize=3.2, zorder=3)
    for row, i in enumerate(left):
        _label(ax, names[i], mean_ranks[names[i]], top + high * (row + 0.4), 1 - 0.04 * (k - 1), "right", styles)
    for row, i in enumerate(order[len(left) :][::-1]):
        _label(ax, names[i], mean_ranks[names[i]], top + high * (row + 0.4), k + 0.04 * (k - 1), "left", styles)
    if difference is not None:
        ax.plot([1, min(1 + difference, k)], [-0.42] * 2, color="black", linewidth=1, marker="|", markersize=5)
        ax.annotate(f"CD = {difference:.2f}", (1, -0.47), fontsize=7, ha="left", va="bottom", annotation_clip=False)
    ax.set_xlim(1, k)
    ax.set_ylim(top + high * len(left), -0.62)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.spines["top"].set_visible(True)
    ax.spines["top"].set_position(("data", 0))
    ax.xaxis.set_ticks_position("top")
    ax.set_xticks(range(1, k + 1) if k <= 12 else range(1, k + 1, -(-k // 12)))
    ax.set_yticks([])
    ax.grid(False)
    return ax


def _label(ax: Axes, name: str, rank: float, y: float, x: float, side: str, styles: Mapping[str, LineStyle]) -> None:
    colour = styles[name].colour
    ax.plot([rank, rank, x], [0, y, y], color=colour, linewidth=0.8, clip_on=False, zorder=2)
    text = f"{wrapped(name, WIDE)} {rank:.2f}" if side == "right" else f"{rank:.2f} {wrapped(name, WIDE)}"
    ax.annotate(
        text,
        (x, y),
        xytext=(-3 if side == "right" else 3, 0),
        textcoords="offset points",
        ha=side,
        va="center",
        fontsize=SMALL,
        annotation_clip=False,
    )


def rank_frame(tables: Sequence[RankTable]) -> pd.DataFrame:
    """Columns regime, datasets (how many), strategy, mean_rank (1 is best), critical_difference (Nemenyi's), joined (names not told apart)."""
    parts = []
    for t in tables:
        for i, strategy in enumerate(t.strategies):
            joined = ", ".join(
                o for o, p in zip(t.strategies, t.nemenyi[i], strict=True) if p > t.alpha and o != strategy
            )
            parts.append((t.regime, len(t.datasets), strategy, t.friedman.mean_ranks[i], t.critical_difference, joined))
    return pd.DataFrame(parts, columns=["regime", "datasets", "strategy", "mean_rank", "critical_difference", "joined"])


def rank_figure(tables: Sequence[RankTable], styles: Mapping[str, LineStyle], venue: Venue = PLAIN) -> Figure:
    """A diagram per regime, one below the other: strategies that Nemenyi's test does not tell apart are joined, its CD is drawn to scale."""
    heights = [_height(t) for t in tables]
    width, below = venue.page, sum(heights)
    total = below
    with style_context(venue):
        figure = Figure(figsize=(width, total))
        for table, height in zip(tables, heights, strict=True):
            longest = max(min(len(name), WIDE) for name in table.strategies) + 5
            margin = min(0.44, 0.063 * longest / width + 0.02)
            ax = figure.add_axes((margin, (below - height + 0.42) / total, 1 - 2 * margin, (height - 0.47) / total))
            ranks = dict(zip(table.strategies, table.friedman.mean_ranks, strict=True))
            draw_rank_diagram(ax, ranks, np.asarray(table.nemenyi) > table.alpha, styles, table.critical_difference)
            figure.text(
                0.5,
                (below - height + 0.04) / total,
                folded(_caption(table), width),
                ha="center",
                va="bottom",
                fontsize=7,
            )
            below -= height
    return figure


def _height(table: RankTable) -> float:
    """Inches of one diagram: scale, bars, labels, two lines of words."""
    joined = cliques(np.asarray(table.nemenyi) > table.alpha)
    row = ROW + 0.11 * (lines_of(table.strategies, WIDE) - 1)
    return 1.35 + BAR * len(joined) + row * -(-len(table.strategies) // 2)


def _caption(table: RankTable) -> str:
    joined = f"Joined: not told apart by Nemenyi's test at {table.alpha:g}"
    return f"{table.regime}: mean rank over {len(table.datasets)} data sets, 1 is best\n{joined}"


def mean_ranks(inputs: FigureInputs) -> StudyFigure | str:
    """Every regime with two data sets or more."""
    notes: list[str] = []
    tables = rank_tables(inputs.curves, notes)
    if not tables:
        return notes[0] if notes else "ranks need two data sets or more under one regime"
    frame = rank_frame(tables)
    figure = rank_figure(tables, inputs.styles, inputs.venue)
    tested = "; ".join(
        f"{t.regime}: n = {len(t.datasets)} data sets, Friedman p {p_value(t.friedman.p_ties)}, Iman-Davenport p {p_value(t.friedman.p_f)}, CD {t.critical_difference:.2f}"
        for t in tables
    )
    caption = (
        f"Critical-difference diagram (Demšar 2006): mean ranks by {inputs.endpoint} over data sets, 1 is best; strategies that Nemenyi's test at {tables[0].alpha:g} does not "
        f"tell apart are joined. {tested}. No band. Ranks depend on which strategies take part; secondary: it changes no verdict."
    )
    order = "; ".join(
        f"{t.regime}: {', '.join(f'{s} {r:.2f}' for r, s in sorted(zip(t.friedman.mean_ranks, t.strategies, strict=True)))}"
        for t in tables
    )
    return StudyFigure(
        "mean-ranks",
        "Mean ranks over data sets",
        figure,
        frame,
        caption,
        f"Strategies on a line of mean ranks, best to the left. {order}.",
    )
