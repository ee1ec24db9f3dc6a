"""Pairwise penalty matrices (Ash et al. 2020; Lüth et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.across.penalty_matrix import PenaltyMatrix
from analysis.figures.figure import NOT_PAIRED, FigureInputs, StudyFigure, panelled
from analysis.figures.layout import NAME, NUMBERED, add_colour_bar, heat_map, line_count, names_height, select

MEAN = "mean of column"


def penalty_frame(matrices: Sequence[PenaltyMatrix]) -> pd.DataFrame:
    """Return how often row beats column, in long form.

    Returns:
        Columns definition, settings, row, column, value (settings, in shares of their checkpoints). The row "mean of
        column" is each strategy's penalty; lower is better.
    """
    rows = [
        (m.definition, m.settings, row, column, value)
        for m in matrices
        if m.settings
        for row, values in (*zip(m.strategies, m.wins, strict=True), (MEAN, m.column_means))
        for column, value in zip(m.strategies, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["definition", "settings", "row", "column", "value"])


def draw_penalties(ax: Axes, frame: pd.DataFrame, names: Sequence[str], cell: float = 0.3) -> Axes:
    """Draw in how many settings the row beats the column.

    The last row is the mean of each column; lower is better.

    Args:
        frame: rows of `penalty_frame` of one definition.
        cell: width of a cell, inches; narrow cells have a colour bar instead of numbers.
    """
    grid = frame.pivot(index="row", columns="column", values="value").reindex(index=[*names, MEAN], columns=list(names))  # noqa: PD010
    values = grid.to_numpy(dtype=np.float64)
    heat_map(ax, values, [*names, MEAN], names, cell, low=0, high=max(float(values.max()), 1e-9))
    ax.axhline(len(names) - 0.5, color="white", linewidth=2)
    return ax


def penalty_matrix(inputs: FigureInputs) -> StudyFigure | str:
    """Draw the matrices of both definitions, with strategies ordered by their mean penalty."""
    if not inputs.curves.paired:
        return NOT_PAIRED
    frame = penalty_frame(inputs.across.penalties)
    if frame.empty or not inputs.compared:
        return "no setting has checkpoints at which to compare two strategies"
    order = select(frame, row=MEAN).groupby("column")["value"].mean().sort_values(kind="stable")
    names = [str(n) for n in order.index]
    definitions = list(frame["definition"].unique())
    side = 2 if len(names) <= 7 and inputs.venue.page > 6 else 1
    longest = min(NAME, max(map(len, [*names, MEAN])))
    cell = (inputs.venue.page / side - 0.25 - 0.055 * longest) / len(names)
    height = max(0.13 * line_count(names), min(0.2, cell)) * (len(names) + 1) + 0.55 + names_height(names, cell)
    matrices = {m.definition: m for m in inputs.across.penalties}
    absent = "".join(f". {d}: {matrices[d].absent()}" for d in definitions if matrices[d].absent())

    def draw(ax: Axes, rows: pd.DataFrame, definition: str) -> None:  # noqa: ARG001
        draw_penalties(ax, rows, names, cell)
        if cell < NUMBERED:
            add_colour_bar(ax.figure, [ax])

    note = f"Settings in which row beats column (paired t, .05, uncorrected). Last row: smaller is better{absent}"
    figure = panelled(inputs, frame, draw, height, note, by="definition", names=definitions, columns=side, wide=True)
    counts = "; ".join(
        f"{d}: n = {matrices[d].settings} settings, {matrices[d].null_expectation:.2f} expected per cell if all are "
        "alike"
        for d in definitions
    )
    caption = (
        "Pairwise penalty matrices. A cell is the number of settings, in shares of their checkpoints, in which row "
        "beats column by a paired t test at .05 without correction. The last row is each strategy's mean penalty. "
        f"{counts}{absent}. No band. Secondary: it changes no verdict."
    )
    means = ", ".join(f"{name} {value:.2f}" for name, value in order.items())
    alt = f"Heat maps, strategies by strategies. Mean penalty from best to worst: {means}."
    return StudyFigure("penalty-matrix", "Pairwise penalty matrix", figure, frame, caption, alt)
