"""Pairwise penalty matrices (Ash et al. 2020; Lüth et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.across.penalty_matrix import PenaltyMatrix
from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import NAME, NUMBERED, footnote, heat, lines_of, names_height, own, panels, scale
from analysis.figures.style import style_context

MEAN = "mean of column"


def penalty_frame(matrices: Sequence[PenaltyMatrix]) -> pd.DataFrame:
    """Columns definition, settings, row, column, value: how often row beats column; row 'mean of column' is each strategy's penalty."""
    parts = [
        (m.definition, m.settings, row, column, value)
        for m in matrices
        if m.settings
        for row, values in (*zip(m.strategies, m.wins, strict=True), (MEAN, m.column_means))
        for column, value in zip(m.strategies, values, strict=True)
    ]
    return pd.DataFrame(parts, columns=["definition", "settings", "row", "column", "value"])


def draw_penalties(ax: Axes, frame: pd.DataFrame, names: Sequence[str], cell: float = 0.3) -> Axes:
    """Row beats column in so many settings; the last row, the column's mean, is the better the smaller. One definition's rows."""
    grid = frame.pivot(index="row", columns="column", values="value").reindex(index=[*names, MEAN], columns=list(names))  # noqa: PD010
    values = grid.to_numpy(dtype=np.float64)
    heat(ax, values, [*names, MEAN], names, cell, low=0, high=max(float(values.max()), 1e-9))
    ax.axhline(len(names) - 0.5, color="white", linewidth=2)
    return ax


def penalty_matrix(inputs: FigureInputs) -> StudyFigure | str:
    """Both definitions, strategies ordered by their mean penalty."""
    if not inputs.curves.paired:
        return "nothing is paired"
    frame = penalty_frame(inputs.across.penalties)
    if frame.empty or not inputs.others:
        return "no setting has checkpoints to compare two strategies at"
    order = own(frame, row=MEAN).groupby("column")["value"].mean().sort_values(kind="stable")
    names = [str(n) for n in order.index]
    definitions = list(frame["definition"].unique())
    side = 2 if len(names) <= 7 and inputs.venue.page > 6 else 1
    longest = min(NAME, max(map(len, [*names, MEAN])))
    cell = (inputs.venue.page / side - 0.25 - 0.055 * longest) / len(names)
    height = max(0.13 * lines_of(names), min(0.2, cell)) * (len(names) + 1) + 0.55 + names_height(names, cell)
    used = {m.definition: m for m in inputs.across.penalties}
    few = "".join(f". {d}: {used[d].absent()}" for d in definitions if used[d].absent())
    with style_context(inputs.venue):

        def draw(ax: Axes, definition: str) -> None:
            draw_penalties(ax, own(frame, definition=definition), names, cell)

        figure = panels(definitions, draw, height, inputs.venue, columns=side, wide=True)
        for ax in [ax for ax in figure.axes if ax.axison] if cell < NUMBERED else ():
            scale(figure, [ax])
        footnote(
            figure,
            "Row beats column in so many settings (paired t, .05, uncorrected). Last row: smaller is better" + few,
        )
    counts = "; ".join(
        f"{d}: n = {used[d].settings} settings, a cell expects {used[d].null_expectation:.2f} if all are alike"
        for d in definitions
    )
    caption = (
        f"Pairwise penalty matrices. A cell is the number of settings, in shares of their checkpoints, in which row beats column by a paired t test at "
        f".05 without correction; the last row is each strategy's mean penalty. {counts}{few}. No band. Secondary: it changes no verdict."
    )
    alt = f"Heat maps, strategies by strategies. Mean penalty from best to worst: {', '.join(f'{n} {v:.2f}' for n, v in order.items())}."
    return StudyFigure("penalty-matrix", "Pairwise penalty matrix", figure, frame, caption, alt)
