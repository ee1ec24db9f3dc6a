"""Whether strategies rank alike under every regime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import (
    dodge,
    folded,
    highest,
    legend,
    own,
    panels,
    seeds_in_words,
    spread_of,
    wrapped,
    zone,
)
from analysis.figures.style import SMALL, LineStyle, style_context


def draw_interaction(
    ax: Axes, frame: pd.DataFrame, regimes: Sequence[str], styles: Mapping[str, LineStyle], delta: float
) -> Axes:
    """Difference to the baseline under each regime, a line per strategy: lines that cross are an interaction.

    Args:
        frame: rows of `Comparison.to_frame` of one data set.
    """
    zone(ax, delta, horizontal=True)
    names = list(frame["strategy"].unique())
    for place, strategy in enumerate(names):
        mine = (
            own(frame, strategy=strategy)
            .set_index("regime")
            .reindex(list(regimes))
            .astype({"difference": float, "low": float, "high": float})
        )
        places = np.arange(len(regimes), dtype=np.float64)
        x = places + dodge(places, place, len(names))
        bars = np.nan_to_num(np.stack([mine["difference"] - mine["low"], mine["high"] - mine["difference"]]))
        ax.errorbar(
            x,
            mine["difference"].to_numpy(),
            bars,
            label=strategy,
            elinewidth=0.6,
            **styles[strategy].line() | {"linewidth": 0.8, "markersize": 3},
        )
    ax.set_xlim(-0.5, len(regimes) - 0.5)
    ax.set_xticks(range(len(regimes)), [wrapped(r, 12) for r in regimes])
    return ax


def interaction(inputs: FigureInputs) -> StudyFigure | str:
    """A panel per data set with two regimes or more."""
    curves = inputs.curves
    frame = inputs.comparison.to_frame()
    frame = frame[frame["n"] > 0] if len(frame) else frame
    several = (
        [d for d in dict.fromkeys(frame["dataset"]) if len(set(own(frame, dataset=d)["regime"])) > 1]
        if len(frame)
        else []
    )
    frame = frame[frame["dataset"].isin(several)]
    if frame.empty or frame.duplicated(["dataset", "regime", "strategy"]).any():
        return "needs two regimes of one data set, one protocol each"
    regimes = [r for r in dict.fromkeys(r for _, r in curves.places.values()) if r in set(frame["regime"])]
    n = seeds_in_words(frame["n"], curves.unit)
    with style_context(inputs.venue):

        def draw(ax: Axes, dataset: str) -> None:
            draw_interaction(ax, own(frame, dataset=dataset), regimes, inputs.styles, curves.plan.delta)
            ax.set_ylabel(folded(f"difference to {curves.baseline}", 1.4))

        figure = panels(several, draw, 2.0, inputs.venue, columns=2, wide=len(regimes) > 3 or len(inputs.others) > 6)
        for ax in figure.axes:
            if max((len(r) for r in regimes), default=0) > 10 or len(regimes) > 5:
                ax.tick_params(axis="x", labelrotation=90, labelsize=SMALL)
        legend(
            figure,
            [s for s in inputs.others if s in set(frame["strategy"])],
            inputs.styles,
            f"Bars: 95 % t interval, {n}. Grey: within ±{curves.plan.delta:g}",
        )
    caption = (
        f"Regime and strategy: paired difference to {curves.baseline} in {inputs.endpoint} under each regime, n = {n}. Bars: 95 % t interval of each comparison for "
        f"itself. Grey zone: equivalent within ±{curves.plan.delta:g}. Lines that cross rank differently. The verdicts ({inputs.tested}) are made regime by regime; "
        "the interaction itself is not tested here."
    )
    most = highest(spread_of(frame, ["dataset", "strategy"], "difference"), "difference")
    alt = f"Lines over regimes, one per strategy, one panel per data set. The gain of {most['strategy']} on {most['dataset']} changes most, by {most['difference']:.4f}."
    return StudyFigure("interaction", "Regimes and strategies", figure, frame, caption, alt)
