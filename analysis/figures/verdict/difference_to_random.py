"""Paired differences to the baseline at every budget, with simultaneous bands."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.figure import NOT_PAIRED, FigureInputs, StudyFigure, panelled
from analysis.figures.layout import CROWDED, MANY, count_in_words, dodge, draw_zone, label_axes, select, shade
from analysis.figures.style import LineStyle


def draw_differences(
    ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle], delta: float, currency: str = "labels"
) -> Axes:
    """Draw mean differences with their simultaneous bands, the zero line, and the zone within ±delta.

    Bands are shaded for up to four strategies, drawn as bars for up to twelve, and left out for more.

    Args:
        frame: rows of `analysis.secondary.details.Details.band` of one protocol.
        currency: unit of the budgets.
    """
    names = list(frame["strategy"].unique())
    draw_zone(ax, delta, horizontal=True)
    for place, strategy in enumerate(names):
        rows, line = select(frame, strategy=strategy), styles[strategy].line()
        budgets, mean, low, high = (rows[c].to_numpy(dtype=np.float64) for c in ("budget", "difference", "low", "high"))
        if len(names) <= CROWDED:
            ax.plot(budgets, mean, label=strategy, **line)
            shade(ax, budgets, low, high, styles[strategy])
            continue
        line |= {"linewidth": 0.8, "markersize": 2.6}
        if len(names) > MANY:
            ax.plot(budgets, mean, label=strategy, **line)
        else:
            bars = np.nan_to_num(np.stack([mean - low, high - mean]))
            ax.errorbar(budgets + dodge(budgets, place, len(names)), mean, bars, label=strategy, elinewidth=0.5, **line)
    return label_axes(ax, f"{currency} paid for", "")


def difference_to_random(inputs: FigureInputs) -> StudyFigure | str:
    """Draw the differences of all strategies, one panel per protocol."""
    curves, delta = inputs.curves, inputs.curves.plan.delta
    if not curves.has_curves:
        return "there is one budget: no curve"
    if not curves.paired:
        return NOT_PAIRED
    frame = inputs.details.band.to_frame()
    if frame.empty:
        return f"no strategy has a complete run with the same {curves.unit} as {curves.baseline}"
    n = count_in_words(frame["n"], curves.unit)
    most = frame.groupby("protocol")["strategy"].nunique().max()
    band = (
        "Shaded" if most <= CROWDED else "Bars" if most <= MANY else "Bars left out (too many strategies), see the CSV"
    )
    has_band = frame["low"].notna().any()
    band = f"{band}: 95 % simultaneous band" if has_band else f"No band for fewer than two {curves.unit}s"

    def draw(ax: Axes, rows: pd.DataFrame, protocol: str) -> None:
        draw_differences(ax, rows, inputs.styles, delta, curves.currency(protocol))
        ax.set_ylabel(f"{curves.metrics[protocol].replace('_', ' ')} difference\nto {curves.baseline}")

    note = f"Mean paired difference over {n}. {band}. Grey: within ±{delta:g}{inputs.negated}"
    figure = panelled(inputs, frame, draw, 1.9, note, names=curves.protocols, legend=inputs.compared)
    meaning = (
        f" ({' and '.join(sorted(set(frame['method'])))}), which holds the whole true curve of a strategy with that "
        "confidence. A band that excludes zero at some budget suggests a difference there; the verdict does not use it"
    )
    caption = (
        f"Difference to {curves.baseline} in {inputs.metric} against {curves.currency()} paid for, paired by "
        f"{curves.unit}, n = {n}. {band}{meaning if has_band else ''}. "
        f"Grey zone: equivalent within ±{delta:g}."
    )
    alt = (
        f"Differences to {curves.baseline} against {curves.currency()}, one panel per protocol, with the zero line "
        f"and the zone of equivalence. {_excluding_zero(frame)}"
    )
    title = f"Difference to {curves.baseline} along the budget"
    return StudyFigure("difference-to-random", title, figure, frame, caption, alt)


def _excluding_zero(frame: pd.DataFrame) -> str:
    sides = (("above", frame[frame["low"] > 0]), ("below", frame[frame["high"] < 0]))
    sentences = [
        f"The band lies {side} zero at some budget for {', '.join(dict.fromkeys(rows['strategy']))}."
        for side, rows in sides
        if len(rows)
    ]
    return " ".join(sentences) or "Every band contains zero throughout."
