"""Labels saved against the baseline, with what is only known to lie beyond the budgets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.across.collect import LEAST_RUNS
from analysis.across.tables import frames
from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import each, footnote, interval, own, panels, rows, rows_height, seeds_in_words
from analysis.figures.style import LineStyle, style_context


def draw_labels_saved(ax: Axes, frame: pd.DataFrame, names: Sequence[str], styles: Mapping[str, LineStyle]) -> Axes:
    """Labels saved at the highest target (filled) and the one below (hollow), a row per strategy.

    An arrow to the left: the strategy never reaches the target, or its interval goes on beyond the budgets; to the right: the
    baseline does not in some resamples. Words to the right say how the highest target is censored.

    Args:
        frame: rows of `frames(across)["labels"]` of one protocol.
    """
    ax.axvline(0.0, color="black", linewidth=0.8, zorder=1.5)
    shown = frame[frame["target"].isin(sorted(frame["target"].unique())[-2:])]
    edges = _limits(shown)
    said = {}
    for name, own_rows in shown.groupby("strategy", sort=False):
        place = list(names).index(str(name))
        for shift, row in zip(
            (0.15, -0.15) if len(own_rows) > 1 else (0.0,), each(own_rows.sort_values("target")), strict=True
        ):
            _mark(ax, place + shift, row, styles[str(name)], edges, hollow=shift > 0)
            said[str(name)] = _WORDS[str(row.censored)] if not math.isnan(float(row.saved)) else "neither"
    rows(ax, names, [said.get(n, "no data") for n in names])
    ax.set_xlim(*edges)
    return ax


_WORDS = {"no": "", "left": "at least", "right": "never"}


def _limits(frame: pd.DataFrame) -> tuple[float, float]:
    """All that is finite and a margin in which arrows stand."""
    values = frame[["saved", "low", "high"]].to_numpy(dtype=np.float64)
    finite = np.r_[values[np.isfinite(values)], 0.0]
    room = 0.15 * max(float(np.ptp(finite)), 1.0)
    return float(finite.min()) - room, float(finite.max()) + room


def _mark(ax: Axes, place: float, row: Any, style: LineStyle, edges: tuple[float, float], *, hollow: bool) -> None:
    inset = 0.02 * (edges[1] - edges[0])
    left, right = edges[0] + inset, edges[1] - inset
    if math.isfinite(row.saved):
        known = not math.isnan(row.low)
        bounds = (max(row.low, left), min(row.high, right)) if known else (math.nan, math.nan)
        interval(ax, place, row.saved, bounds[0], bounds[1], style, hollow=hollow, thin=True)
    elif row.saved < 0:
        ax.plot([left, left + 0.1 * (edges[1] - edges[0])], [place, place], color=style.colour, linewidth=0.7, zorder=2)
    ends = ((min(row.saved, row.low), left, "<"), (max(row.saved, row.high), right, ">"))
    for bound, edge, marker in ends:
        if math.isinf(bound):
            ax.plot([edge], [place], marker=marker, color=style.colour, markersize=3.5, zorder=3)


def labels_saved(inputs: FigureInputs) -> StudyFigure | str:
    """At the baseline's best accuracy, where a saving is worth most; other targets are in the CSV."""
    curves = inputs.curves
    frame = frames(inputs.across)["labels"]
    if frame.empty:
        return "nothing is paired" if not curves.paired else "no curve of the baseline rises over its budgets"
    last = frame[frame["target"] == frame.groupby(["protocol", "strategy"])["target"].transform("max")]
    names = [s for s in inputs.others if s in set(frame["strategy"])]
    protocols = [p for p in curves.protocols if p in set(frame["protocol"])]
    n = seeds_in_words(last["n"], curves.unit)
    with style_context(inputs.venue):

        def draw(ax: Axes, protocol: str) -> None:
            draw_labels_saved(ax, own(frame, protocol=protocol), names, inputs.styles)

        figure = panels(
            protocols,
            draw,
            rows_height(names) * 1.15,
            inputs.venue,
            columns=2,
            labelled_rows=True,
            wide=max(map(len, names)) > 16,
        )
        bars = (
            "Bars: 95 % bootstrap interval"
            if last["low"].notna().any()
            else f"No bars for fewer than {LEAST_RUNS} {curves.unit}s"
        )
        what = f"Labels saved at {curves.baseline}'s best {inputs.metric} (hollow: at 4/5 of its rise), {n}"
        footnote(figure, f"{what}\n{bars}; arrows: beyond the budgets")
    caption = (
        f"Labels saved: how many fewer labels a strategy needs than {curves.baseline} for the best mean {inputs.metric} that {curves.baseline} reaches, on "
        f"monotone mean curves, n = {n}; to the right is better. Bars: 95 % bootstrap interval over seeds, none for fewer than {LEAST_RUNS}. Arrows: censored, the answer lies "
        "beyond the budgets; nothing is extrapolated. Other targets are in the CSV. Secondary: it changes no verdict."
    )
    never = int((last["censored"] == "right").sum())
    alt = f"Intervals of labels saved, a row per strategy, one panel per protocol. In {never} of {len(last)} comparisons the strategy never reaches the target."
    return StudyFigure("labels-saved", f"Labels saved against {curves.baseline}", figure, frame, caption, alt)
