"""How small a difference a given number of seeds can detect."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.figure import NOT_PAIRED, FigureInputs, StudyFigure, panelled
from analysis.figures.layout import label_axes, select
from analysis.figures.style import LineStyle
from analysis.statistics.power import minimum_detectable_effect
from analysis.verdict.comparison import Comparison

LEAST_SHOWN = 20


def power_frame(comparison: Comparison) -> pd.DataFrame:
    """Compute the true difference that the paired t test detects with 80 % power at alpha / tests.

    The spread is the study's own; its mean differences are not used.

    Returns:
        Columns protocol, strategy, sd (of the paired differences), seeds, detectable (same units as sd).
    """
    most = max([LEAST_SHOWN, *(2 * v.n for v in comparison.verdicts)])
    steps = sorted({*range(2, min(most, 20) + 1), *(round(20 * (most / 20) ** (i / 12)) for i in range(13))})
    effects = {n: minimum_detectable_effect(n, _alpha(comparison)) for n in steps}
    rows = [
        (v.protocol, v.strategy, v.sd, n, effect * v.sd)
        for v in comparison.verdicts
        if v.n > 1 and v.sd > 0
        for n, effect in effects.items()
    ]
    return pd.DataFrame(rows, columns=["protocol", "strategy", "sd", "seeds", "detectable"])


def _alpha(comparison: Comparison) -> float:
    return comparison.plan.alpha / max(comparison.tests, 1)


def draw_power(
    ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle], delta: float, n: int, least: int
) -> Axes:
    """Draw the detectable difference against seeds, one line per strategy.

    A horizontal line marks the margin, a vertical one the seeds of this study.

    Args:
        frame: rows of `power_frame` of one protocol.
        delta: margin of equivalence.
        n: seeds of this study.
        least: smallest number of seeds with which the test can reject; below it no effect can be detected.
    """
    start = int(frame["seeds"].min())
    if least > start:
        ax.axvspan(start, least, color="0.92", linewidth=0, zorder=0)
    ax.axhline(delta, color="black", linewidth=0.8, zorder=1.5)
    ax.axvline(n, color="black", linewidth=0.8, linestyle=(0, (1.5, 1.2)), zorder=1.5)
    for strategy in frame["strategy"].unique():
        rows, line = select(frame, strategy=strategy), styles[strategy].line()
        ax.plot(rows["seeds"], rows["detectable"], label=strategy, markevery=max(1, len(rows) // 6), **line)
    shown = frame[frame["seeds"] >= max(start + 2, least - 2)]["detectable"]
    ax.set_ylim(0, max(1.15 * float(shown.max()), 1.5 * delta))
    return label_axes(ax, "seeds", "detectable difference")


def power(inputs: FigureInputs) -> StudyFigure | str:
    """Draw the detectable differences, one panel per protocol."""
    comparison, curves = inputs.comparison, inputs.curves
    if not curves.paired:
        return NOT_PAIRED
    frame = power_frame(comparison)
    if frame.empty:
        return f"needs two {curves.unit}s of a comparison, with differences that vary"
    delta, least, tests = comparison.plan.delta, comparison.least_seeds, comparison.tests
    seeds = {p: max(v.n for v in comparison.verdicts if v.protocol == p) for p in set(frame["protocol"])}
    grey = f". Grey: {comparison.plan.test} cannot reject" if least > 2 else ""
    figure = panelled(
        inputs,
        frame,
        lambda ax, rows, protocol: draw_power(ax, rows, inputs.styles, delta, seeds[protocol], least),
        1.9,
        f"80 % power at alpha / {tests}. Horizontal line: ±{delta:g}; vertical: this study's n{grey}",
        legend=inputs.present(frame),
    )
    effects = [minimum_detectable_effect(v.n, _alpha(comparison)) * v.sd for v in comparison.verdicts if v.n > 1]
    finite = [x for x in effects if math.isfinite(x)]
    now = f"With this study's n = {inputs.pairs} it is {min(finite):.4f} to {max(finite):.4f}. " if finite else ""
    caption = (
        f"Power: the smallest true difference to {curves.baseline} in {inputs.endpoint} that the paired t test "
        f"detects with 80 % power at alpha / {tests} (the strictest Holm step), given the spread seen in this study. "
        f"Its mean differences are not used. {now}Horizontal line: the margin ±{delta:g}; vertical: this study's n. "
        f"The planned test ({comparison.plan.test}) cannot reject with fewer than {least} seeds. No band."
    )
    alt = f"Falling curves of the detectable difference against seeds, one per strategy, one panel per protocol. {now}"
    return StudyFigure("power", "Seeds and detectable difference", figure, frame, caption, alt.strip())
