"""Over all settings: performance profiles and probability of improvement (Agarwal et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.across.result import Gain
from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import CROWDED, finish, legend, own, shade
from analysis.figures.style import LineStyle, style_context


def profile_frame(gains: Sequence[Gain]) -> pd.DataFrame:
    """Columns strategy, settings, runs, threshold, share, low, high."""
    parts = [
        (g.strategy, g.settings, g.runs, *values)
        for g in gains
        for values in zip(g.thresholds, g.profile, g.profile_low, g.profile_high, strict=True)
    ]
    return pd.DataFrame(parts, columns=["strategy", "settings", "runs", "threshold", "share", "low", "high"])


def draw_performance_profile(ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle]) -> Axes:
    """Share of runs whose paired difference to the baseline exceeds each threshold; the higher, the better. Rows of `profile_frame`."""
    names = list(frame["strategy"].unique())
    ax.axvline(0.0, color="black", linewidth=0.8, zorder=1.5)
    ax.axhline(0.5, color="0.7", linewidth=0.6, zorder=1)
    for strategy in names:
        line = own(frame, strategy=strategy).sort_values("threshold")
        ax.plot(line["threshold"], line["share"], label=strategy, **styles[strategy].line())
        if len(names) <= CROWDED:
            shade(ax, line["threshold"], line["low"], line["high"], styles[strategy])
    ax.set_ylim(-0.03, 1.03)
    return finish(ax, "", "share of runs above", whole=False)


def performance_profile(inputs: FigureInputs) -> StudyFigure | str:
    """One panel over all settings."""
    gains, base = inputs.across.gains, inputs.curves.baseline
    if not gains:
        return (
            "nothing is paired"
            if not inputs.curves.paired
            else f"no strategy has a complete run with the same seed as {base}"
        )
    frame = profile_frame(gains)
    band = "Shaded: pointwise 95 % bootstrap interval" if len(gains) <= CROWDED else "Intervals: in the CSV"
    n = runs_and_settings(gains)
    with style_context(inputs.venue):
        figure = Figure(figsize=(inputs.venue.column, 2.1), layout="constrained")
        ax = draw_performance_profile(figure.subplots(), frame, inputs.styles)
        ax.set_xlabel(f"difference to {base} in AUBC")
        legend(figure, [g.strategy for g in gains], inputs.styles, f"{n}. {band}")
    caption = (
        f"Performance profiles: share of runs whose paired difference to {base} in {inputs.endpoint} exceeds the value below, averaged over settings; "
        f"{n}. {band} (stratified, {inputs.across.resamples:,} resamples). Secondary: it changes no verdict."
    )
    at = {g.strategy: own(frame, strategy=g.strategy).set_index("threshold")["share"] for g in gains}
    above = "; ".join(f"{s} {float(line.iloc[len(line) // 2]):.0%}" for s, line in at.items())
    return StudyFigure(
        "performance-profile",
        "Performance profiles",
        figure,
        frame,
        caption,
        f"Falling lines, one per strategy. Share of runs above zero: {above}.",
    )


def runs_and_settings(gains: Sequence[Gain]) -> str:
    """Return n as words: paired runs, and settings."""
    runs, settings = sorted({g.runs for g in gains}), sorted({g.settings for g in gains})
    said = [str(x[0]) if len(x) == 1 else f"{x[0]} to {x[-1]}" for x in (runs, settings)]
    return f"n = {said[0]} paired runs in {said[1]} setting{'s' * (settings[-1] > 1)}"
