"""Paired differences to the baseline along the budget, with the band that holds for all budgets at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import CROWDED, MANY, dodge, finish, legend, own, panels, seeds_in_words, shade, zone
from analysis.figures.style import LineStyle, style_context


def draw_differences(
    ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle], delta: float, currency: str = "labels"
) -> Axes:
    """Mean difference with its simultaneous band (bars beyond four strategies, none beyond twelve), a zero line and the zone of ±delta.

    Args:
        frame: rows of `analysis.secondary.details.Details.band` of one protocol.
        currency: what its budgets count.
    """
    names = list(frame["strategy"].unique())
    zone(ax, delta, horizontal=True)
    for place, strategy in enumerate(names):
        rows = own(frame, strategy=strategy)
        budgets, mean, low, high = (rows[c].to_numpy(dtype=np.float64) for c in ("budget", "difference", "low", "high"))
        if len(names) <= CROWDED:
            ax.plot(budgets, mean, label=strategy, **styles[strategy].line())
            shade(ax, budgets, low, high, styles[strategy])
        elif len(names) > MANY:
            ax.plot(budgets, mean, label=strategy, **(styles[strategy].line() | {"linewidth": 0.8, "markersize": 2.6}))
        else:
            bars = np.nan_to_num(np.stack([mean - low, high - mean]))
            thin = styles[strategy].line() | {"linewidth": 0.8, "markersize": 2.6}
            ax.errorbar(budgets + dodge(budgets, place, len(names)), mean, bars, label=strategy, elinewidth=0.5, **thin)
    return finish(ax, f"{currency} paid for", "")


def difference_to_random(inputs: FigureInputs) -> StudyFigure | str:
    """All protocols."""
    curves, delta = inputs.curves, inputs.curves.plan.delta
    if not curves.has_curves:
        return "there is one budget: no curve"
    if not curves.paired:
        return "nothing is paired"
    frame = inputs.details.band.to_frame()
    if frame.empty:
        return f"no strategy has a complete run with the same {curves.unit} as {curves.baseline}"
    n = seeds_in_words(frame["n"], curves.unit)
    drawn = frame.groupby("protocol")["strategy"].nunique().max()
    band = "No bars with so many strategies, in the CSV" if drawn > MANY else "Shaded" if drawn <= CROWDED else "Bars"
    band = (
        f"{band}: 95 % simultaneous band"
        if frame["low"].notna().any()
        else f"No band for fewer than two {curves.unit}s"
    )

    def draw(ax: Axes, protocol: str) -> None:
        draw_differences(ax, own(frame, protocol=protocol), inputs.styles, delta, curves.currency(protocol))
        ax.set_ylabel(f"{curves.metrics[protocol].replace('_', ' ')} difference\nto {curves.baseline}")

    with style_context(inputs.venue):
        figure = panels(curves.protocols, draw, 1.9, inputs.venue)
        note = f"Mean paired difference over {n}. {band}. Grey: within ±{delta:g}"
        legend(figure, inputs.others, inputs.styles, note)
    methods = " and ".join(sorted(set(frame["method"])))
    caption = (
        f"Difference to {curves.baseline} in {inputs.metric} against {curves.currency()} paid for, paired by {curves.unit}, n = {n}. {band} "
        f"({methods}) of each strategy: its whole true curve lies inside with that confidence; what leaves zero out somewhere shows a "
        f"difference somewhere, though it is no verdict. Grey zone: equivalent within ±{delta:g}."
    )
    alt = f"Differences to {curves.baseline} against {curves.currency()}, one panel per protocol, with zero line and the zone of equivalence. {_outside(frame)}"
    return StudyFigure(
        "difference-to-random", f"Difference to {curves.baseline} along the budget", figure, frame, caption, alt
    )


def _outside(frame: pd.DataFrame) -> str:
    above, below = frame[frame["low"] > 0], frame[frame["high"] < 0]
    said = [
        f"The band lies {side} zero somewhere for {', '.join(dict.fromkeys(part['strategy']))}"
        for side, part in (("above", above), ("below", below))
        if len(part)
    ]
    return ". ".join(said or ["Every band holds zero throughout"]) + "."
