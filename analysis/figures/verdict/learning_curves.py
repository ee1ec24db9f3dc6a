"""Learning curves: the metric against the labels paid for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.figure import FigureInputs, StudyFigure, panelled
from analysis.figures.layout import count_in_words, label_axes, label_ends, select, shade
from analysis.figures.style import LineStyle
from analysis.loading.curves import Curves
from analysis.statistics.intervals import t_band
from analysis.verdict.endpoint import matrix

HEIGHT = 1.9
LABELLED = 5
"""Up to this many strategies in a single panel are named at the ends of their lines instead of in a legend."""
SHORT = 18
"""Longest name that fits at the end of a line, characters."""
COLUMNS = ["protocol", "strategy", "metric", "budget", "n", "mean", "low", "high"]


def learning_frame(curves: Curves) -> pd.DataFrame:
    """Compute the mean over runs and its pointwise 95 % t interval at every budget.

    Returns:
        Columns protocol, strategy, metric, budget, n (runs), mean, low, high; the bounds of a single run are NaN.
    """
    parts = []
    for protocol in curves.protocols:
        wide = matrix(curves, protocol)
        names = wide.index.get_level_values("strategy")
        for strategy in curves.strategies:
            runs = wide[names == strategy]
            if len(runs):
                mean, low, high = t_band(runs.to_numpy(dtype=np.float64))
                where = {"protocol": protocol, "strategy": strategy, "metric": curves.metrics[protocol]}
                values = {"budget": runs.columns, "n": len(runs), "mean": mean, "low": low, "high": high}
                parts.append(pd.DataFrame(where | values))
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def metric_frame(curves: Curves, protocols: Collection[str], metric: str) -> pd.DataFrame:
    """Compute `learning_frame` of some protocols for another of their recorded metrics."""
    frame = curves.frame[curves.frame["protocol"].isin(protocols)]
    planned = tuple(run for run in curves.planned if run.protocol in protocols)
    return learning_frame(replace(curves, frame=frame, planned=planned, metrics=dict.fromkeys(protocols, metric)))


def draw_learning_curves(
    ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle], shaded: Collection[str], currency: str = "labels"
) -> Axes:
    """Draw the mean at each budget, with the interval of the strategies in `shaded`.

    The baseline comes last.

    Args:
        frame: rows of `learning_frame` of one protocol and one metric.
        currency: unit of the budgets.
    """
    for strategy in sorted(frame["strategy"].unique(), key=lambda s: styles[s].order):
        rows = select(frame, strategy=strategy)
        ax.plot(rows["budget"], rows["mean"], label=strategy, **styles[strategy].line())
        if strategy in shaded:
            shade(ax, rows["budget"], rows["low"], rows["high"], styles[strategy])
    metrics = frame["metric"].unique()
    return label_axes(ax, f"{currency} paid for", str(metrics[0]).replace("_", " ") if len(metrics) else "")


def learning_curves(inputs: FigureInputs) -> StudyFigure | str:
    """Draw the learning curves of all strategies, one panel per protocol."""
    curves, styles = inputs.curves, inputs.styles
    if not curves.has_curves:
        return "there is one budget: no curve"
    frame = learning_frame(curves)
    n = count_in_words(frame["n"], curves.unit)
    short_names = len(curves.strategies) <= LABELLED and max(map(len, curves.strategies)) <= SHORT
    name_ends = len(curves.protocols) == 1 and short_names

    def draw(ax: Axes, rows: pd.DataFrame, protocol: str) -> None:
        draw_learning_curves(ax, rows, styles, inputs.shaded, curves.currency(protocol))
        if name_ends and len(rows):
            last = rows.groupby("strategy", sort=False).last()
            ends = {str(s): (float(r["budget"]), float(r["mean"])) for s, r in last.iterrows()}
            label_ends(ax, ends, styles, HEIGHT - 0.6)

    has_band, no_band = frame["low"].notna().any(), f"no band for fewer than two {curves.unit}s"
    figure = panelled(
        inputs,
        frame,
        draw,
        HEIGHT + 0.3 * name_ends,
        f"Mean over {n}; {f'{inputs.band}: 95 % t interval' if has_band else no_band}{inputs.negated}",
        names=curves.protocols,
        legend=() if name_ends else curves.strategies,
    )
    band = f"Band ({inputs.band}): pointwise 95 % t interval of each curve" if has_band else no_band.capitalize()
    caption = (
        f"Learning curves: mean {inputs.metric} over {n} against {curves.currency()} paid for. {band}; "
        f"it does not show paired differences, and nothing is tested here.{inputs.upper}"
    )
    best = frame.sort_values("mean").groupby("protocol", sort=False).last() if len(frame) else frame
    ends = "; ".join(f"under {p} {r['strategy']} has the highest mean, {r['mean']:.4f}" for p, r in best.iterrows())
    alt = f"Learning curves, one panel per protocol, one line per strategy; {ends}."
    return StudyFigure("learning-curves", "Learning curves", figure, frame, caption, alt)
