"""Labels saved against the baseline, with arrows where the answer lies beyond the budgets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.across.collect import LEAST_RUNS
from analysis.across.tables import frames
from analysis.figures.figure import NOT_PAIRED, FigureInputs, StudyFigure, panelled
from analysis.figures.layout import count_in_words, draw_interval, each, label_rows, rows_height
from analysis.figures.style import LineStyle

CENSORED = {"no": "", "left": "at least", "right": "never"}


def draw_labels_saved(ax: Axes, frame: pd.DataFrame, names: Sequence[str], styles: Mapping[str, LineStyle]) -> Axes:
    """Draw labels saved at the two highest targets, one row per strategy.

    The highest target is filled, the one below hollow.

    An arrow to the left: the strategy never reaches the target, or its interval extends beyond the budgets. An arrow
    to the right: in some resamples the baseline does not reach it. Words on the right say how the highest target is
    censored.

    Args:
        frame: rows of `frames(across)["labels"]` of one protocol.
        names: strategies of the rows, including those without data.
    """
    ax.axvline(0.0, color="black", linewidth=0.8, zorder=1.5)
    shown = frame[frame["target"].isin(sorted(frame["target"].unique())[-2:])]
    edges = _limits(shown)
    words = {}
    for strategy, targets in shown.groupby("strategy", sort=False):
        name, shifts = str(strategy), (0.15, -0.15) if len(targets) > 1 else (0.0,)
        for shift, row in zip(shifts, each(targets.sort_values("target")), strict=True):
            _mark(ax, list(names).index(name) + shift, row, styles[name], edges, hollow=shift > 0)
            words[name] = "neither" if math.isnan(float(row.saved)) else CENSORED[str(row.censored)]
    label_rows(ax, names, [words.get(n, "no data") for n in names])
    ax.set_xlim(*edges)
    return ax


def _limits(frame: pd.DataFrame) -> tuple[float, float]:
    """Return horizontal limits: all finite values, with a margin for arrows."""
    values = frame[["saved", "low", "high"]].to_numpy(dtype=np.float64)
    finite = np.r_[values[np.isfinite(values)], 0.0]
    room = 0.15 * max(float(np.ptp(finite)), 1.0)
    return float(finite.min()) - room, float(finite.max()) + room


def _mark(ax: Axes, place: float, row: Any, style: LineStyle, edges: tuple[float, float], *, hollow: bool) -> None:
    inset = 0.02 * (edges[1] - edges[0])
    left, right = edges[0] + inset, edges[1] - inset
    if math.isfinite(row.saved):
        has_interval = not math.isnan(row.low)
        low, high = (max(row.low, left), min(row.high, right)) if has_interval else (math.nan, math.nan)
        draw_interval(ax, place, row.saved, low, high, style, hollow=hollow, thin=True)
    elif row.saved < 0:
        ax.plot([left, left + 0.1 * (edges[1] - edges[0])], [place, place], color=style.colour, linewidth=0.7, zorder=2)
    ends = ((min(row.saved, row.low), left, "<"), (max(row.saved, row.high), right, ">"))
    for bound, edge, marker in ends:
        if math.isinf(bound):
            ax.plot([edge], [place], marker=marker, color=style.colour, markersize=3.5, zorder=3)


def labels_saved(inputs: FigureInputs) -> StudyFigure | str:
    """Draw labels saved at the baseline's best metric, where a saving is worth most.

    The CSV has the other targets.
    """
    curves, baseline = inputs.curves, inputs.curves.baseline
    frame = frames(inputs.across)["labels"]
    if frame.empty:
        return "no curve of the baseline rises over its budgets" if curves.paired else NOT_PAIRED
    last = frame[frame["target"] == frame.groupby(["protocol", "strategy"])["target"].transform("max")]
    names = inputs.present(frame)
    n = count_in_words(last["n"], curves.unit)
    has_bars = last["low"].notna().any()
    bars = "Bars: 95 % bootstrap interval" if has_bars else f"No bars for fewer than {LEAST_RUNS} {curves.unit}s"
    figure = panelled(
        inputs,
        frame,
        lambda ax, rows, _: draw_labels_saved(ax, rows, names, inputs.styles),
        rows_height(names) * 1.15,
        f"Labels saved at {baseline}'s best {inputs.metric} (hollow: at 4/5 of its rise), {n}\n"
        f"{bars}; arrows: beyond the budgets",
        columns=2,
        labelled_rows=True,
        wide=max(map(len, names)) > 16,
    )
    caption = (
        f"Labels saved: how many fewer labels a strategy needs than {baseline} to reach the best mean {inputs.metric} "
        f"of {baseline}, on monotone mean curves, n = {n}. Further right is better. Bars: 95 % bootstrap interval "
        f"over seeds, none for fewer than {LEAST_RUNS}. Arrows: censored; the answer lies beyond the budgets, and "
        "nothing is extrapolated. The CSV has the other targets. Secondary: it changes no verdict."
    )
    never = int((last["censored"] == "right").sum())
    alt = (
        "Intervals of labels saved, one row per strategy, one panel per protocol. "
        f"In {never} of {len(last)} comparisons the strategy never reaches the target."
    )
    return StudyFigure("labels-saved", f"Labels saved against {baseline}", figure, frame, caption, alt)
