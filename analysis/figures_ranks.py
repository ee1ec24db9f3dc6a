"""The critical-difference diagram (Demsar 2006, figure 1): mean ranks on a line, bars under those not told apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.across import RankTable
from analysis.ranks import cliques
from analysis.style import PAGE, Look, applied

ROW: Final = 0.19
"""Height of one label, inches."""
BAR: Final = 0.1
"""Distance between bars, inches."""


def rank_diagram(
    ax: Axes, mean_ranks: Mapping[str, float], alike: NDArray[np.bool_], look: Mapping[str, Look], difference: float | None = None
) -> Axes:
    """Best strategy to the left; vertical axis in inches below the line.

    Args:
        mean_ranks: strategy -> mean rank, in [1, k].
        alike: (k, k) in the order of `mean_ranks`: pairs that are not told apart. A bar spans the largest groups of
            which every pair is alike, with a dot at each member: groups found by Wilcoxon tests may skip a rank.
        look: colours of the project.
        difference: Nemenyi's critical difference, drawn as a scale at the top.
    """
    names = list(mean_ranks)
    k = len(names)
    order = sorted(range(k), key=lambda i: mean_ranks[names[i]])
    groups = sorted(cliques(alike), key=lambda g: min(mean_ranks[names[i]] for i in g))
    top = 0.12 + BAR * len(groups)
    left = order[: -(-k // 2)]
    for level, group in enumerate(groups):
        at = [mean_ranks[names[i]] for i in group]
        ax.plot([min(at), max(at)], [0.12 + BAR * level] * 2, color="0.35", linewidth=2.2, solid_capstyle="round", zorder=3)
        ax.plot(at, [0.12 + BAR * level] * len(at), "o", color="0.35", markersize=3.2, zorder=3)
    for row, i in enumerate(left):
        _label(ax, names[i], mean_ranks[names[i]], top + ROW * (row + 0.4), 1 - 0.04 * (k - 1), "right", look)
    for row, i in enumerate(order[len(left) :][::-1]):
        _label(ax, names[i], mean_ranks[names[i]], top + ROW * (row + 0.4), k + 0.04 * (k - 1), "left", look)
    if difference is not None:
        ax.plot([1, min(1 + difference, k)], [-0.42] * 2, color="black", linewidth=1, marker="|", markersize=5)
        ax.annotate(f"CD = {difference:.2f}", (1, -0.47), fontsize=7, ha="left", va="bottom", annotation_clip=False)
    ax.set_xlim(1, k)
    ax.set_ylim(top + ROW * len(left), -0.62)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.spines["top"].set_visible(True)
    ax.spines["top"].set_position(("data", 0))
    ax.xaxis.set_ticks_position("top")
    ax.set_xticks(range(1, k + 1) if k <= 12 else range(1, k + 1, -(-k // 12)))
    ax.set_yticks([])
    ax.grid(False)
    return ax


def _label(ax: Axes, name: str, rank: float, y: float, x: float, side: str, look: Mapping[str, Look]) -> None:
    colour = look[name].colour
    ax.plot([rank, rank, x], [0, y, y], color=colour, linewidth=0.8, clip_on=False, zorder=2)
    text = f"{name} {rank:.2f}" if side == "right" else f"{rank:.2f} {name}"
    ax.annotate(
        text,
        (x, y),
        xytext=(-3 if side == "right" else 3, 0),
        textcoords="offset points",
        ha=side,
        va="center",
        fontsize=7,
        annotation_clip=False,
    )


def rank_figure(table: RankTable, look: Mapping[str, Look]) -> Figure:
    """The diagram of one regime: strategies that Nemenyi's test does not tell apart are joined, its CD is drawn to scale."""
    mean_ranks = dict(zip(table.strategies, table.friedman.mean_ranks, strict=True))
    alike = np.asarray(table.nemenyi) > table.alpha
    k = len(mean_ranks)
    height = 1.2 + BAR * len(cliques(alike)) + ROW * -(-k // 2) + 0.35
    with applied():
        figure = Figure(figsize=(PAGE * 0.75, height))
        longest = max(len(name) for name in mean_ranks) + 5
        margin = min(0.42, 0.065 * longest / (PAGE * 0.75) + 0.05)
        ax = figure.add_axes((margin, 0.45 / height, 1 - 2 * margin, 1 - 0.5 / height))
        rank_diagram(ax, mean_ranks, alike, look, table.critical_difference)
        figure.text(0.5, 0.03, _caption(table), ha="center", va="bottom", fontsize=7)
    return figure


def _caption(table: RankTable) -> str:
    joined = f"Joined: not told apart by Nemenyi's test at {table.alpha:g}"
    return f"{table.regime}: mean rank over {len(table.datasets)} data sets, 1 is best\n{joined}"
