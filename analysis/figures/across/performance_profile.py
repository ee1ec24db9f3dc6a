"""Over all settings: performance profiles and probability of improvement (Agarwal et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.across.result import Gain
from analysis.figures.layout import CROWDED, each, finish, footnote, interval, legend, own, rows, rows_height, shade
from analysis.figures.plate import Material, Plate
from analysis.figures.style import Look, applied


def profile_frame(gains: Sequence[Gain]) -> pd.DataFrame:
    """Columns strategy, settings, runs, threshold, share, low, high."""
    parts = [
        (g.strategy, g.settings, g.runs, *values)
        for g in gains
        for values in zip(g.thresholds, g.profile, g.profile_low, g.profile_high, strict=True)
    ]
    return pd.DataFrame(parts, columns=["strategy", "settings", "runs", "threshold", "share", "low", "high"])


def performance_profile(ax: Axes, frame: pd.DataFrame, look: Mapping[str, Look]) -> Axes:
    """Share of runs whose paired difference to the baseline exceeds each threshold; the higher, the better. Rows of `profile_frame`."""
    names = list(frame["strategy"].unique())
    ax.axvline(0.0, color="black", linewidth=0.8, zorder=1.5)
    ax.axhline(0.5, color="0.7", linewidth=0.6, zorder=1)
    for strategy in names:
        line = own(frame, strategy=strategy).sort_values("threshold")
        ax.plot(line["threshold"], line["share"], label=strategy, **look[strategy].line())
        if len(names) <= CROWDED:
            shade(ax, line["threshold"], line["low"], line["high"], look[strategy])
    ax.set_ylim(-0.03, 1.03)
    return finish(ax, "", "share of runs above", whole=False)


def profiles(material: Material) -> Plate | str:
    """One panel over all settings."""
    gains, base = material.across.gains, material.curves.baseline
    if not gains:
        return (
            "nothing is paired"
            if not material.curves.paired
            else f"no strategy has a complete run with the same seed as {base}"
        )
    frame = profile_frame(gains)
    band = "Shaded: pointwise 95 % bootstrap interval" if len(gains) <= CROWDED else "Intervals: in the CSV"
    n = _n(gains)
    with applied(material.venue):
        figure = Figure(figsize=(material.venue.column, 2.1), layout="constrained")
        ax = performance_profile(figure.subplots(), frame, material.look)
        ax.set_xlabel(f"difference to {base} in AUBC")
        legend(figure, [g.strategy for g in gains], material.look, f"{n}. {band}")
    caption = (
        f"Performance profiles: share of runs whose paired difference to {base} in {material.endpoint} exceeds the value below, averaged over settings; "
        f"{n}. {band} (stratified, {material.across.resamples:,} resamples). Secondary: it changes no verdict."
    )
    at = {g.strategy: own(frame, strategy=g.strategy).set_index("threshold")["share"] for g in gains}
    above = "; ".join(f"{s} {float(line.iloc[len(line) // 2]):.0%}" for s, line in at.items())
    return Plate(
        "performance-profile",
        "Performance profiles",
        figure,
        frame,
        caption,
        f"Falling lines, one per strategy. Share of runs above zero: {above}.",
    )


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


def improvement(ax: Axes, frame: pd.DataFrame, names: Sequence[str], look: Mapping[str, Look]) -> Axes:
    """Probability that a run beats the baseline's: filled with the same seed, hollow (below) with an unrelated one."""
    ax.axvline(0.5, color="black", linewidth=0.8, zorder=1.5)
    for row, name in enumerate(names):
        for kind, shift in (("paired", -0.14), ("plain", 0.14)):
            for found in each(own(frame, strategy=name, kind=kind)):
                interval(ax, row + shift, found.probability, found.low, found.high, look[name], hollow=kind == "plain")
    rows(ax, names)
    ax.set_xlim(-0.03, 1.03)
    return ax


def improvements(material: Material) -> Plate | str:
    """One panel over all settings."""
    gains, base = material.across.gains, material.curves.baseline
    if not gains:
        return (
            "nothing is paired"
            if not material.curves.paired
            else f"no strategy has a complete run with the same seed as {base}"
        )
    frame = improvement_frame(gains)
    names = [g.strategy for g in gains]
    with applied(material.venue):
        figure = Figure(figsize=(material.venue.column, rows_height(names) + 0.2), layout="constrained")
        improvement(figure.subplots(), frame, names, material.look)
        footnote(
            figure,
            f"Probability of beating {base}, {_n(gains)}\nFilled: same seed. Hollow: unrelated seeds. Bars: 95 % bootstrap interval",
        )
    caption = (
        f"Probability of improvement over {base} in {material.endpoint}, ties counting half, averaged over settings; {_n(gains)}. Filled: at the same seed; "
        f"hollow: between unrelated seeds. Bars: stratified 95 % bootstrap interval, {material.across.resamples:,} resamples. Secondary: it "
        "changes no verdict."
    )
    alt = (
        "Intervals, a row per strategy. At the same seed: "
        + "; ".join(f"{g.strategy} {g.paired:.0%}" for g in gains)
        + "."
    )
    return Plate("probability-of-improvement", "Probability of improvement", figure, frame, caption, alt)


def _n(gains: Sequence[Gain]) -> str:
    runs, settings = sorted({g.runs for g in gains}), sorted({g.settings for g in gains})
    said = [str(x[0]) if len(x) == 1 else f"{x[0]} to {x[-1]}" for x in (runs, settings)]
    return f"n = {said[0]} paired runs in {said[1]} setting{'s' * (settings[-1] > 1)}"
