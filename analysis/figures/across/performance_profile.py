"""Performance profiles over all settings (Agarwal et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.across.result import Gain
from analysis.figures.figure import NOT_PAIRED, FigureInputs, StudyFigure
from analysis.figures.layout import CROWDED, add_legend, label_axes, select, shade
from analysis.figures.style import LineStyle, style_context


def profile_frame(gains: Sequence[Gain]) -> pd.DataFrame:
    """Return the profiles in long form: columns strategy, settings, runs, threshold, share, low, high."""
    rows = [
        (g.strategy, g.settings, g.runs, *values)
        for g in gains
        for values in zip(g.thresholds, g.profile, g.profile_low, g.profile_high, strict=True)
    ]
    return pd.DataFrame(rows, columns=["strategy", "settings", "runs", "threshold", "share", "low", "high"])


def draw_performance_profile(ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle]) -> Axes:
    """Draw the share of runs whose paired difference to the baseline exceeds each threshold.

    Higher is better.

    Args:
        frame: rows of `profile_frame`.
    """
    names = list(frame["strategy"].unique())
    ax.axvline(0.0, color="black", linewidth=0.8, zorder=1.5)
    ax.axhline(0.5, color="0.7", linewidth=0.6, zorder=1)
    for strategy in names:
        rows = select(frame, strategy=strategy).sort_values("threshold")
        ax.plot(rows["threshold"], rows["share"], label=strategy, **styles[strategy].line())
        if len(names) <= CROWDED:
            shade(ax, rows["threshold"], rows["low"], rows["high"], styles[strategy])
    ax.set_ylim(-0.03, 1.03)
    return label_axes(ax, "", "share of runs above", whole=False)


def performance_profile(inputs: FigureInputs) -> StudyFigure | str:
    """Draw the profiles over all settings in one panel."""
    gains, baseline = inputs.across.gains, inputs.curves.baseline
    if not gains:
        return no_gains(inputs)
    frame = profile_frame(gains)
    band = "Shaded: pointwise 95 % bootstrap interval" if len(gains) <= CROWDED else "Intervals: in the CSV"
    n = runs_and_settings(gains)
    with style_context(inputs.venue):
        figure = Figure(figsize=(inputs.venue.column, 2.1), layout="constrained")
        ax = draw_performance_profile(figure.subplots(), frame, inputs.styles)
        ax.set_xlabel(f"difference to {baseline} in AUBC")
        add_legend(figure, [g.strategy for g in gains], inputs.styles, f"{n}. {band}")
    caption = (
        f"Performance profiles: share of runs whose paired difference to {baseline} in {inputs.endpoint} exceeds the "
        f"value on the horizontal axis, averaged over settings; {n}. {band} (stratified, {inputs.across.resamples:,} "
        "resamples). Secondary: it changes no verdict."
    )
    shares = {g.strategy: select(frame, strategy=g.strategy).set_index("threshold")["share"] for g in gains}
    above = "; ".join(f"{s} {float(share.iloc[len(share) // 2]):.0%}" for s, share in shares.items())
    alt = f"Falling lines, one per strategy. Share of runs above zero: {above}."
    return StudyFigure("performance-profile", "Performance profiles", figure, frame, caption, alt)


def no_gains(inputs: FigureInputs) -> str:
    """Return why no strategy can be compared with the baseline over all settings."""
    return (
        f"no strategy has a complete run with the same seed as {inputs.curves.baseline}"
        if inputs.curves.paired
        else NOT_PAIRED
    )


def runs_and_settings(gains: Sequence[Gain]) -> str:
    """Return n in words: paired runs and settings."""
    runs, settings = sorted({g.runs for g in gains}), sorted({g.settings for g in gains})
    n, m = (str(x[0]) if len(x) == 1 else f"{x[0]} to {x[-1]}" for x in (runs, settings))
    return f"n = {n} paired runs in {m} setting{'s' * (settings[-1] > 1)}"
