"""Forest plot of the verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.figure import FigureInputs, StudyFigure, panelled
from analysis.figures.layout import draw_interval, draw_zone, each, label_rows, rows_height, share_x
from analysis.figures.style import LineStyle
from analysis.formatting import numbers
from analysis.verdict import verdict_table
from analysis.verdict.method import interval_names
from analysis.verdict.sentences import headline


def draw_forest(
    ax: Axes, frame: pd.DataFrame, names: Sequence[str], styles: Mapping[str, LineStyle], delta: float
) -> Axes:
    """Draw paired differences with 95 % intervals, one row per strategy, and the answers on the right.

    Hollow marks are undecided.

    Args:
        frame: rows of `Comparison.to_frame` of one protocol.
        names: strategies of the rows, including those without data.
    """
    draw_zone(ax, delta, horizontal=False)
    answers = {}
    for v in each(frame):
        answers[v.strategy] = f"{v.answer} (negligible)" if v.negligible else v.answer
        if v.n:
            row, hollow = list(names).index(str(v.strategy)), v.answer == "undecided"
            draw_interval(ax, row, v.difference, v.low, v.high, styles[str(v.strategy)], hollow=hollow)
    return label_rows(ax, names, [answers.get(n, "") for n in names])


def verdicts(inputs: FigureInputs) -> StudyFigure | str:
    """Draw the verdicts of all protocols on one scale."""
    curves, comparison, names = inputs.curves, inputs.comparison, inputs.compared
    frame, delta = comparison.to_frame(), comparison.plan.delta
    if frame.empty:
        return f"{curves.baseline} is the only strategy"
    kind = interval_names(comparison)
    figure = panelled(
        inputs,
        frame,
        lambda ax, rows, _: draw_forest(ax, rows, names, inputs.styles, delta),
        rows_height(names),
        f"Difference to {curves.baseline} in {'AUBC' if curves.has_curves else inputs.metric}, {inputs.pairs}\n"
        f"Bars: 95 % {kind} interval. Grey: within ±{delta:g}. Hollow: undecided{inputs.negated}",
        names=curves.protocols,
        columns=2,
        labelled_rows=True,
        wide=max(map(len, names)) > 16,
    )
    share_x(figure)
    caption = (
        f"Verdicts: mean {'paired ' if curves.paired else ''}difference to {curves.baseline} in {inputs.endpoint}, "
        f"n = {inputs.pairs}. Bars: 95 % {kind} intervals, not adjusted for multiple comparisons. "
        f"Answers: {inputs.tested}. Grey zone: equivalent within ±{delta:g}. Hollow marks are undecided."
    )
    first = "; ".join(
        f"{v.strategy} under {v.protocol} {verdict_table.answer(v)} {numbers.signed(v.difference)}"
        for v in comparison.verdicts[:12]
    )
    more = "; the rest is in the table" if len(comparison.verdicts) > 12 else ""
    alt = f"Forest plot of the differences to {curves.baseline}. {headline(comparison)} {first}{more}."
    return StudyFigure("verdicts", "Verdicts", figure, frame, caption, alt)
