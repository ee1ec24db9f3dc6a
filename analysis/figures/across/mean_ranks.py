"""Critical-difference diagram (Demšar 2006, figure 1): mean ranks on a line.

Indistinguishable strategies are joined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.across.rank_tables import rank_tables
from analysis.across.result import RankTable
from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import annotate, fold, line_count, wrap
from analysis.figures.style import PLAIN, LineStyle, Venue, style_context
from analysis.formatting.numbers import p_value
from analysis.statistics.ranks import cliques

ROW: Final = 0.19
"""Height of a label, inches."""
WIDE: Final = 34
"""Characters of a name per line."""
BAR: Final = 0.1
"""Distance between bars, inches."""


def draw_rank_diagram(
    ax: Axes,
    mean_ranks: Mapping[str, float],
    alike: NDArray[np.bool_],
    styles: Mapping[str, LineStyle],
    difference: float | None = None,
) -> Axes:
    """Draw the diagram with the best strategy on the left; the vertical axis is in inches below the line.

    Args:
        mean_ranks: strategy -> mean rank, in [1, k].
        alike: (k, k) in the order of `mean_ranks`; True for pairs that are not distinguishable. A bar spans each
            largest group in which every pair is alike, with a dot at each member: groups found by Wilcoxon tests may
            skip a rank.
        styles: strategy -> style.
        difference: Nemenyi's critical difference, drawn as a scale at the top.
    """
    names = list(mean_ranks)
    k = len(names)
    order = sorted(range(k), key=lambda i: mean_ranks[names[i]])
    groups = sorted(cliques(alike), key=lambda g: min(mean_ranks[names[i]] for i in g))
    top = 0.12 + BAR * len(groups)
    high = ROW + 0.11 * (line_count(names, WIDE) - 1)
    left = order[: -(-k // 2)]
    for level, group in enumerate(groups):
        ranks, y = [mean_ranks[names[i]] for i in group], 0.12 + BAR * level
        bar: dict[str, Any] = {"color": "0.35", "linewidth": 2.2, "solid_capstyle": "round", "zorder": 3}
        ax.plot([min(ranks), max(ranks)], [y] * 2, **bar)
        ax.plot(ranks, [y] * len(ranks), "o", color="0.35", markersize=3.2, zorder=3)
    sides = ((left, 1 - 0.04 * (k - 1), "right"), (order[len(left) :][::-1], k + 0.04 * (k - 1), "left"))
    for members, x, side in sides:
        for row, i in enumerate(members):
            _label(ax, names[i], mean_ranks[names[i]], top + high * (row + 0.4), x, side, styles[names[i]].colour)
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


def _label(ax: Axes, name: str, rank: float, y: float, x: float, side: str, colour: str) -> None:
    ax.plot([rank, rank, x], [0, y, y], color=colour, linewidth=0.8, clip_on=False, zorder=2)
    text = f"{wrap(name, WIDE)} {rank:.2f}" if side == "right" else f"{rank:.2f} {wrap(name, WIDE)}"
    annotate(ax, text, (x, y), (-3 if side == "right" else 3, 0), side, "center")


def rank_frame(tables: Sequence[RankTable]) -> pd.DataFrame:
    """Return one row per regime and strategy.

    Returns:
        Columns regime, datasets (number), strategy, mean_rank (1 is best), critical_difference (Nemenyi's), joined
        (names of the strategies that are not distinguishable).
    """
    rows = []
    for t in tables:
        for i, strategy in enumerate(t.strategies):
            pairs = zip(t.strategies, t.nemenyi[i], strict=True)
            joined = ", ".join(other for other, p in pairs if p > t.alpha and other != strategy)
            rows.append((t.regime, len(t.datasets), strategy, t.friedman.mean_ranks[i], t.critical_difference, joined))
    return pd.DataFrame(rows, columns=["regime", "datasets", "strategy", "mean_rank", "critical_difference", "joined"])


def rank_figure(tables: Sequence[RankTable], styles: Mapping[str, LineStyle], venue: Venue = PLAIN) -> Figure:
    """Draw one diagram per regime, one below the other.

    Strategies that Nemenyi's test does not distinguish are joined; its critical difference is drawn to scale.
    """
    heights = [_height(t) for t in tables]
    width, total = venue.page, sum(heights)
    below = total
    with style_context(venue):
        figure = Figure(figsize=(width, total))
        for table, height in zip(tables, heights, strict=True):
            longest = max(min(len(name), WIDE) for name in table.strategies) + 5
            margin = min(0.44, 0.063 * longest / width + 0.02)
            below -= height
            ax = figure.add_axes((margin, (below + 0.42) / total, 1 - 2 * margin, (height - 0.47) / total))
            ranks = dict(zip(table.strategies, table.friedman.mean_ranks, strict=True))
            draw_rank_diagram(ax, ranks, np.asarray(table.nemenyi) > table.alpha, styles, table.critical_difference)
            figure.text(0.5, (below + 0.04) / total, fold(_note(table), width), ha="center", va="bottom", fontsize=7)
    return figure


def _height(table: RankTable) -> float:
    """Return the height of one diagram: scale, bars, labels, two lines of words; inches."""
    joined = cliques(np.asarray(table.nemenyi) > table.alpha)
    row = ROW + 0.11 * (line_count(table.strategies, WIDE) - 1)
    return 1.35 + BAR * len(joined) + row * -(-len(table.strategies) // 2)


def _note(table: RankTable) -> str:
    joined = f"Joined: not distinguishable by Nemenyi's test at {table.alpha:g}"
    return f"{table.regime}: mean rank over {len(table.datasets)} data sets, 1 is best\n{joined}"


def mean_ranks(inputs: FigureInputs) -> StudyFigure | str:
    """Draw the mean ranks of every regime that has two data sets or more."""
    notes: list[str] = []
    tables = rank_tables(inputs.curves, notes)
    if not tables:
        return notes[0] if notes else "ranks need two data sets or more under one regime"
    figure = rank_figure(tables, inputs.styles, inputs.venue)
    tests = "; ".join(
        f"{t.regime}: n = {len(t.datasets)} data sets, Friedman p {p_value(t.friedman.p_ties)}, "
        f"Iman-Davenport p {p_value(t.friedman.p_f)}, CD {t.critical_difference:.2f}"
        for t in tables
    )
    caption = (
        f"Critical-difference diagram (Demšar 2006): mean ranks by {inputs.endpoint} over data sets, 1 is best. "
        f"Strategies that Nemenyi's test at {tables[0].alpha:g} does not distinguish are joined. {tests}. No band. "
        "Ranks depend on which strategies take part. Secondary: it changes no verdict."
    )
    orders = []
    for t in tables:
        ranked = sorted(zip(t.friedman.mean_ranks, t.strategies, strict=True))
        orders.append(f"{t.regime}: {', '.join(f'{strategy} {rank:.2f}' for rank, strategy in ranked)}")
    alt = f"Strategies on a line of mean ranks, best on the left. {'; '.join(orders)}."
    return StudyFigure("mean-ranks", "Mean ranks over data sets", figure, rank_frame(tables), caption, alt)
