"""How small a difference so many seeds can find."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import finish, legend, own, panels
from analysis.figures.style import LineStyle, style_context
from analysis.statistics.power import minimum_detectable_effect
from analysis.verdict.comparison import Comparison

LEAST_SHOWN = 20


def power_frame(comparison: Comparison) -> pd.DataFrame:
    """Columns protocol, strategy, sd, seeds, detectable: the true difference found with 80 % power at alpha / tests, by the paired t test.

    The spread is the study's own; the mean difference it found is not used.
    """
    most = max([LEAST_SHOWN, *(2 * v.n for v in comparison.verdicts)])
    alpha = comparison.plan.alpha / max(comparison.tests, 1)
    steps = sorted({*range(2, min(most, 20) + 1), *(round(20 * (most / 20) ** (i / 12)) for i in range(13))})
    effects = {n: minimum_detectable_effect(n, alpha) for n in steps}
    parts = [
        (v.protocol, v.strategy, v.sd, n, e * v.sd)
        for v in comparison.verdicts
        if v.n > 1 and v.sd > 0
        for n, e in effects.items()
    ]
    return pd.DataFrame(parts, columns=["protocol", "strategy", "sd", "seeds", "detectable"])


def draw_power(
    ax: Axes, frame: pd.DataFrame, styles: Mapping[str, LineStyle], delta: float, n: int, least: int
) -> Axes:
    """Detectable difference against seeds, a line per strategy; the margin across, this study's seeds upright.

    Args:
        frame: rows of `power_frame` of one protocol.
        least: fewest seeds with which the test can reject; to the left of it nothing is found whatever the effect.
    """
    start = int(frame["seeds"].min())
    if least > start:
        ax.axvspan(start, least, color="0.92", linewidth=0, zorder=0)
    ax.axhline(delta, color="black", linewidth=0.8, zorder=1.5)
    ax.axvline(n, color="black", linewidth=0.8, linestyle=(0, (1.5, 1.2)), zorder=1.5)
    for strategy in frame["strategy"].unique():
        line = own(frame, strategy=strategy)
        ax.plot(
            line["seeds"],
            line["detectable"],
            label=strategy,
            markevery=max(1, len(line) // 6),
            **styles[strategy].line(),
        )
    shown = frame[frame["seeds"] >= max(start + 2, least - 2)]["detectable"]
    ax.set_ylim(0, max(1.15 * float(shown.max()), 1.5 * delta))
    return finish(ax, "seeds", "detectable difference")


def power(inputs: FigureInputs) -> StudyFigure | str:
    """All protocols."""
    comparison, curves = inputs.comparison, inputs.curves
    if not curves.paired:
        return "nothing is paired"
    frame = power_frame(comparison)
    if frame.empty:
        return f"needs two {curves.unit}s of a comparison, with some spread"
    protocols = list(dict.fromkeys(frame["protocol"]))
    delta, least = comparison.plan.delta, comparison.least_seeds
    seeds = {p: max(v.n for v in comparison.verdicts if v.protocol == p) for p in protocols}
    with style_context(inputs.venue):

        def draw(ax: Axes, protocol: str) -> None:
            draw_power(ax, own(frame, protocol=protocol), inputs.styles, delta, seeds[protocol], least)

        figure = panels(protocols, draw, 1.9, inputs.venue)
        grey = f". Grey: {comparison.plan.test} cannot reject" if least > 2 else ""
        legend(
            figure,
            [s for s in inputs.others if s in set(frame["strategy"])],
            inputs.styles,
            f"80 % power at alpha / {comparison.tests}. Line across: ±{delta:g}; upright: this study's n{grey}",
        )
    at = [
        (v, minimum_detectable_effect(v.n, comparison.plan.alpha / max(comparison.tests, 1)) * v.sd)
        for v in comparison.verdicts
        if v.n > 1
    ]
    known = [x for _, x in at if math.isfinite(x)]
    now = f"With this study's n = {inputs.pairs} it is {min(known):.4f} to {max(known):.4f}. " if known else ""
    caption = (
        f"Power: the smallest true difference to {curves.baseline} in {inputs.endpoint} that is found with 80 % power by the paired t test at alpha / {comparison.tests} "
        f"(strictest Holm step), given the spread that this study saw; its own mean differences are not used. {now}Line across: the margin ±{delta:g}; upright: this study's n. "
        f"The test of the plan ({comparison.plan.test}) cannot reject with fewer than {least} seeds. No band."
    )
    alt = f"Falling curves of detectable difference against seeds, one per strategy, one panel per protocol. {now}".strip()
    return StudyFigure("power", "Seeds and detectable difference", figure, frame, caption, alt)
