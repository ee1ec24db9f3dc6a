"""The verdicts in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import each, footnote, interval, own, panels, rows, rows_height, same_x, zone
from analysis.figures.style import LineStyle, style_context
from analysis.formatting import numbers
from analysis.verdict import verdict_table
from analysis.verdict.sentences import headline


def draw_forest(
    ax: Axes, frame: pd.DataFrame, names: Sequence[str], styles: Mapping[str, LineStyle], delta: float
) -> Axes:
    """Paired difference with its 95 % interval, a row per strategy, the answer to the right; hollow marks are undecided.

    Args:
        frame: rows of `Comparison.to_frame` of one protocol.
        names: rows of the figure, also those without data.
    """
    zone(ax, delta, horizontal=False)
    said = {}
    for verdict in each(frame):
        said[verdict.strategy] = f"{verdict.answer} (negligible)" if verdict.negligible else verdict.answer
        if verdict.n:
            place = list(names).index(str(verdict.strategy))
            hollow = verdict.answer == "undecided"
            interval(
                ax, place, verdict.difference, verdict.low, verdict.high, styles[str(verdict.strategy)], hollow=hollow
            )
    return rows(ax, names, [said.get(n, "") for n in names])


def verdicts(inputs: FigureInputs) -> StudyFigure | str:
    """All protocols on one scale."""
    curves, comparison = inputs.curves, inputs.comparison
    frame, delta = comparison.to_frame(), comparison.plan.delta
    if frame.empty:
        return f"{curves.baseline} is the only strategy"
    names = inputs.others
    name = "AUBC" if curves.has_curves else inputs.metric
    kind = "t" if curves.paired else "Welch t"
    with style_context(inputs.venue):

        def draw(ax: Axes, protocol: str) -> None:
            draw_forest(ax, own(frame, protocol=protocol), names, inputs.styles, delta)

        figure = panels(
            curves.protocols,
            draw,
            rows_height(names),
            inputs.venue,
            columns=2,
            labelled_rows=True,
            wide=max(map(len, names)) > 16,
        )
        footnote(
            figure,
            f"Difference to {curves.baseline} in {name}, {inputs.pairs}\nBars: 95 % {kind} interval. Grey: within ±{delta:g}. Hollow: undecided",
        )
        same_x(figure)
    caption = (
        f"Verdicts: mean {'paired ' if curves.paired else ''}difference to {curves.baseline} in {inputs.endpoint}, n = {inputs.pairs}. Bars: 95 % {kind} "
        f"interval of each comparison for itself. Answers: {inputs.tested}. Grey zone: equivalent within ±{delta:g}; hollow marks are undecided."
    )
    listed = "; ".join(
        f"{v.strategy} under {v.protocol} {verdict_table.answer(v)} {numbers.signed(v.difference)}"
        for v in comparison.verdicts[:12]
    )
    more = "; and so on in the table" if len(comparison.verdicts) > 12 else ""
    alt = f"Forest plot of the differences to {curves.baseline}. {headline(comparison)} {listed}{more}."
    return StudyFigure("verdicts", "Verdicts", figure, frame, caption, alt)
