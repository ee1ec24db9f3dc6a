"""Probability of improvement over all settings (Agarwal et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.across.result import Gain
from analysis.figures.across.performance_profile import runs_and_settings
from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import each, footnote, interval, own, rows, rows_height
from analysis.figures.style import LineStyle, style_context


def improvement_frame(gains: Sequence[Gain]) -> pd.DataFrame:
    """Columns strategy, settings, runs, kind (paired or plain), probability, low, high."""
    parts = [
        row
        for g in gains
        for row in (
            (g.strategy, g.settings, g.runs, "paired", g.paired, g.paired_low, g.paired_high),
            (g.strategy, g.settings, g.runs, "plain", g.plain, g.plain_low, g.plain_high),
        )
    ]
    return pd.DataFrame(parts, columns=["strategy", "settings", "runs", "kind", "probability", "low", "high"])


def draw_improvement(ax: Axes, frame: pd.DataFrame, names: Sequence[str], styles: Mapping[str, LineStyle]) -> Axes:
    """Probability that a run beats the baseline's: filled with the same seed, hollow (below) with an unrelated one."""
    ax.axvline(0.5, color="black", linewidth=0.8, zorder=1.5)
    for row, name in enumerate(names):
        for kind, shift in (("paired", -0.14), ("plain", 0.14)):
            for found in each(own(frame, strategy=name, kind=kind)):
                interval(
                    ax, row + shift, found.probability, found.low, found.high, styles[name], hollow=kind == "plain"
                )
    rows(ax, names)
    ax.set_xlim(-0.03, 1.03)
    return ax


def probability_of_improvement(inputs: FigureInputs) -> StudyFigure | str:
    """One panel over all settings."""
    gains, base = inputs.across.gains, inputs.curves.baseline
    if not gains:
        return (
            "nothing is paired"
            if not inputs.curves.paired
            else f"no strategy has a complete run with the same seed as {base}"
        )
    frame = improvement_frame(gains)
    names = [g.strategy for g in gains]
    with style_context(inputs.venue):
        figure = Figure(figsize=(inputs.venue.column, rows_height(names) + 0.2), layout="constrained")
        draw_improvement(figure.subplots(), frame, names, inputs.styles)
        footnote(
            figure,
            f"Probability of beating {base}, {runs_and_settings(gains)}\nFilled: same seed. Hollow: unrelated seeds. Bars: 95 % bootstrap interval",
        )
    caption = (
        f"Probability of improvement over {base} in {inputs.endpoint}, ties counting half, averaged over settings; {runs_and_settings(gains)}. Filled: at the same seed; "
        f"hollow: between unrelated seeds. Bars: stratified 95 % bootstrap interval, {inputs.across.resamples:,} resamples. Secondary: it "
        "changes no verdict."
    )
    alt = (
        "Intervals, a row per strategy. At the same seed: "
        + "; ".join(f"{g.strategy} {g.paired:.0%}" for g in gains)
        + "."
    )
    return StudyFigure("probability-of-improvement", "Probability of improvement", figure, frame, caption, alt)
