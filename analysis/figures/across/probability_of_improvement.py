"""Probability of improvement over all settings (Agarwal et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.across.result import Gain
from analysis.figures.across.performance_profile import no_gains, runs_and_settings
from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import add_footnote, draw_interval, each, label_rows, rows_height, select
from analysis.figures.style import LineStyle, style_context


def improvement_frame(gains: Sequence[Gain]) -> pd.DataFrame:
    """Return columns strategy, settings, runs, kind ("paired" or "plain"), probability, low, high."""
    rows = [
        row
        for g in gains
        for row in (
            (g.strategy, g.settings, g.runs, "paired", g.paired, g.paired_low, g.paired_high),
            (g.strategy, g.settings, g.runs, "plain", g.plain, g.plain_low, g.plain_high),
        )
    ]
    return pd.DataFrame(rows, columns=["strategy", "settings", "runs", "kind", "probability", "low", "high"])


def draw_improvement(ax: Axes, frame: pd.DataFrame, names: Sequence[str], styles: Mapping[str, LineStyle]) -> Axes:
    """Draw the probability that a run beats the baseline, one row per strategy.

    Filled marks compare runs with the same seed; hollow marks, below, compare runs with unrelated seeds.

    Args:
        frame: rows of `improvement_frame`.
    """
    ax.axvline(0.5, color="black", linewidth=0.8, zorder=1.5)
    for place, name in enumerate(names):
        for kind, shift in (("paired", -0.14), ("plain", 0.14)):
            for row in each(select(frame, strategy=name, kind=kind)):
                draw_interval(
                    ax, place + shift, row.probability, row.low, row.high, styles[name], hollow=kind == "plain"
                )
    label_rows(ax, names)
    ax.set_xlim(-0.03, 1.03)
    return ax


def probability_of_improvement(inputs: FigureInputs) -> StudyFigure | str:
    """Draw the probabilities over all settings in one panel."""
    gains, baseline = inputs.across.gains, inputs.curves.baseline
    if not gains:
        return no_gains(inputs)
    frame = improvement_frame(gains)
    names = [g.strategy for g in gains]
    n = runs_and_settings(gains)
    with style_context(inputs.venue):
        figure = Figure(figsize=(inputs.venue.column, rows_height(names) + 0.2), layout="constrained")
        draw_improvement(figure.subplots(), frame, names, inputs.styles)
        marks = "Filled: same seed. Hollow: unrelated seeds. Bars: 95 % bootstrap interval"
        add_footnote(figure, f"Probability of beating {baseline}, {n}\n{marks}")
    caption = (
        f"Probability of improvement over {baseline} in {inputs.endpoint}, averaged over settings; ties count half. "
        f"{n}. Filled: same seed; hollow: unrelated seeds. Bars: stratified 95 % bootstrap interval, "
        f"{inputs.across.resamples:,} resamples. Secondary: it changes no verdict."
    )
    same = "; ".join(f"{g.strategy} {g.paired:.0%}" for g in gains)
    alt = f"Intervals, one row per strategy. With the same seed: {same}."
    return StudyFigure("probability-of-improvement", "Probability of improvement", figure, frame, caption, alt)
