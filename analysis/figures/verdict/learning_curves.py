"""Learning curves: the metric against labels paid for."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import CROWDED, finish, label_ends, legend, own, panels, seeds_in_words, shade
from analysis.figures.style import LineStyle, style_context
from analysis.loading.curves import Curves
from analysis.statistics.intervals import t_band
from analysis.verdict.endpoint import matrix

HEIGHT = 1.9
LABELLED = 5
"""Up to so many strategies, in one panel, are named at the ends of their lines instead of in a legend."""
SHORT = 18
"""Longest name, in characters, that fits there."""


def learning_frame(curves: Curves) -> pd.DataFrame:
    """Mean over runs and its pointwise 95 % t interval (NaN for one run): columns protocol, strategy, metric, budget, n, mean, low, high."""
    parts = []
    for protocol in curves.protocols:
        wide = matrix(curves, protocol)
        names = wide.index.get_level_values("strategy")
        for strategy in curves.strategies:
            runs = wide[names == strategy]
            if len(runs):
                mean, low, high = t_band(runs.to_numpy(dtype=np.float64))
                row = {
                    "protocol": protocol,
                    "strategy": strategy,
                    "metric": curves.metrics[protocol],
                    "budget": runs.columns,
                    "n": len(runs),
                }
                parts.append(pd.DataFrame(row | {"mean": mean, "low": low, "high": high}))
    columns = ["protocol", "strategy", "metric", "budget", "n", "mean", "low", "high"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def draw_learning_curves(
    ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle], shaded: Collection[str], currency: str = "labels"
) -> Axes:
    """Mean at each budget; shaded: its interval, of the named strategies. The baseline is drawn last.

    Args:
        frame: rows of `learning_frame` of one protocol.
        currency: what its budgets count.
    """
    for strategy in sorted(frame["strategy"].unique(), key=lambda s: styles[s].order):
        rows = own(frame, strategy=strategy)
        ax.plot(rows["budget"], rows["mean"], label=strategy, **styles[strategy].line())
        if strategy in shaded:
            shade(ax, rows["budget"], rows["low"], rows["high"], styles[strategy])
    metrics = frame["metric"].unique()
    return finish(ax, f"{currency} paid for", str(metrics[0]).replace("_", " ") if len(metrics) else "")


def learning_curves(inputs: FigureInputs) -> StudyFigure | str:
    """All protocols."""
    curves, styles = inputs.curves, inputs.styles
    if not curves.has_curves:
        return "there is one budget: no curve"
    frame = learning_frame(curves)
    few = len(curves.strategies) <= CROWDED + 1
    shaded = curves.strategies if few else (curves.baseline,)
    n = seeds_in_words(frame["n"], curves.unit)
    direct = (
        len(curves.protocols) == 1 and len(curves.strategies) <= LABELLED and max(map(len, curves.strategies)) <= SHORT
    )

    def draw(ax: Axes, protocol: str) -> None:
        rows = own(frame, protocol=protocol)
        draw_learning_curves(ax, rows, styles, shaded, curves.currency(protocol))
        if direct and len(rows):
            last = rows.groupby("strategy", sort=False).last()
            ends = {str(s): (float(r["budget"]), float(r["mean"])) for s, r in last.iterrows()}
            label_ends(ax, ends, styles, HEIGHT - 0.6)

    with style_context(inputs.venue):
        figure = panels(curves.protocols, draw, HEIGHT + 0.3 * direct, inputs.venue)
        band = "shaded" if few else f"shaded, {curves.baseline} only"
        known = frame["low"].notna().any()
        said = f"{band}: 95 % t interval" if known else f"no band for fewer than two {curves.unit}s"
        legend(figure, () if direct else curves.strategies, styles, f"Mean over {n}; {said}")
    which = (
        f"Band ({band}): pointwise 95 % t interval of one curve"
        if known
        else f"No band for fewer than two {curves.unit}s"
    )
    caption = (
        f"Learning curves: mean {inputs.metric} over {n} against {curves.currency()} paid for. {which}; "
        f"it does not show paired differences, and nothing is tested here.{inputs.upper}"
    )
    best = frame.sort_values("mean").groupby("protocol", sort=False).last() if len(frame) else frame
    ends = "; ".join(f"under {p} the highest mean is {r['mean']:.4f}, of {r['strategy']}" for p, r in best.iterrows())
    alt = f"Learning curves, one panel per protocol, one line per strategy; {ends}."
    return StudyFigure("learning-curves", "Learning curves", figure, frame, caption, alt)
