"""Whether strategies rank alike under every regime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.figure import FigureInputs, StudyFigure, panelled
from analysis.figures.layout import count_in_words, dodge, draw_zone, fold, highest, range_within, select, wrap
from analysis.figures.style import SMALL, LineStyle
from analysis.verdict.method import interval_names


def draw_interaction(
    ax: Axes, frame: pd.DataFrame, regimes: Sequence[str], styles: Mapping[str, LineStyle], delta: float
) -> Axes:
    """Draw the difference to the baseline under each regime, one line per strategy.

    Lines that cross are an interaction.

    Args:
        frame: rows of `Comparison.to_frame` of one data set.
    """
    draw_zone(ax, delta, horizontal=True)
    names = list(frame["strategy"].unique())
    places = np.arange(len(regimes), dtype=np.float64)
    for place, strategy in enumerate(names):
        rows = select(frame, strategy=strategy).set_index("regime").reindex(list(regimes))
        mean, low, high = (rows[c].to_numpy(dtype=np.float64) for c in ("difference", "low", "high"))
        bars = np.nan_to_num(np.stack([mean - low, high - mean]))
        line = styles[strategy].line() | {"linewidth": 0.8, "markersize": 3}
        ax.errorbar(places + dodge(places, place, len(names)), mean, bars, label=strategy, elinewidth=0.6, **line)
    ax.set_xlim(-0.5, len(regimes) - 0.5)
    ax.set_xticks(range(len(regimes)), [wrap(r, 12) for r in regimes])
    return ax


def interaction(inputs: FigureInputs) -> StudyFigure | str:
    """Draw the differences under each regime, one panel per data set with at least two regimes."""
    curves, delta = inputs.curves, inputs.curves.plan.delta
    frame = inputs.comparison.to_frame()
    if len(frame):
        frame = frame[frame["n"] > 0]
        frame = frame[frame.groupby("dataset")["regime"].transform("nunique") > 1]
    if frame.empty or frame.duplicated(["dataset", "regime", "strategy"]).any():
        return "needs two regimes of one data set, one protocol each"
    datasets = list(dict.fromkeys(frame["dataset"]))
    regimes = [r for r in dict.fromkeys(r for _, r in curves.places.values()) if r in set(frame["regime"])]
    n, kind = count_in_words(frame["n"], curves.unit), interval_names(inputs.comparison)

    def draw(ax: Axes, rows: pd.DataFrame, dataset: str) -> None:  # noqa: ARG001
        draw_interaction(ax, rows, regimes, inputs.styles, delta)
        ax.set_ylabel(fold(f"difference to {curves.baseline}", 1.4))
        if max(map(len, regimes)) > 10 or len(regimes) > 5:
            ax.tick_params(axis="x", labelrotation=90, labelsize=SMALL)

    figure = panelled(
        inputs,
        frame,
        draw,
        2.0,
        f"Bars: 95 % {kind} interval, {n}. Grey: within ±{delta:g}",
        by="dataset",
        names=datasets,
        legend=inputs.present(frame),
        columns=2,
        wide=len(regimes) > 3 or len(inputs.compared) > 6,
    )
    caption = (
        f"Regime and strategy: paired difference to {curves.baseline} in {inputs.endpoint} under each regime, n = "
        f"{n}. Bars: 95 % {kind} intervals, not adjusted for multiple comparisons. Grey zone: equivalent within "
        f"±{delta:g}. Where lines cross, strategies rank differently. The verdicts ({inputs.tested}) are reached "
        "regime by regime; the interaction itself is not tested here."
    )
    most = highest(range_within(frame, ["dataset", "strategy"], "difference"), "difference")
    alt = (
        "Lines over regimes, one per strategy, one panel per data set. "
        f"The gain of {most['strategy']} on {most['dataset']} changes most, by {most['difference']:.4f}."
    )
    return StudyFigure("interaction", "Regimes and strategies", figure, frame, caption, alt)
