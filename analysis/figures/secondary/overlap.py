"""Overlap of the purchases of two strategies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import count_in_words, heat_map, highest
from analysis.figures.secondary.class_balance import heat_maps
from analysis.secondary import purchases


def draw_overlap(ax: Axes, frame: pd.DataFrame, names: Sequence[str], cell: float = 0.3) -> Axes:
    """Draw the Jaccard index of every pair of the named strategies.

    It ranges from 0 (nothing in common, dark) to 1 (light).

    Args:
        frame: rows of `analysis.secondary.purchases.overlap` of one protocol.
        cell: width of a cell, inches.
    """
    pairs = frame.pivot(index="strategy", columns="other", values="jaccard")  # noqa: PD010  # one row per pair
    grid = pairs.reindex(index=list(names), columns=list(names))
    return heat_map(ax, grid.to_numpy(dtype=np.float64), names, names, cell, low=0, high=1)


def overlap(inputs: FigureInputs) -> StudyFigure | str:
    """Draw the overlaps, one panel per protocol.

    Those with the baseline show what strategies share by chance.
    """
    curves, frame = inputs.curves, purchases.overlap(inputs.curves)
    if frame.empty:
        return "purchases are not known: a table of curves does not say what was bought"
    if frame["strategy"].nunique() < 2:
        return "one strategy has nothing to overlap with"
    n = count_in_words(frame["n"])
    names = inputs.present(frame)

    def draw(ax: Axes, rows: pd.DataFrame, cell: float) -> None:
        draw_overlap(ax, rows, names, cell)

    figure = heat_maps(inputs, frame, draw, names, names, "Jaccard index", columns=len(names))
    caption = (
        "Overlap of purchases: Jaccard index of the images that two strategies bought with the same seed by the last "
        f"budget (initial set excluded), mean over n = {n}. Overlap with {curves.baseline} is what chance gives. No "
        f"band, no test.{inputs.upper}"
    )
    alt = "Heat maps of the overlap of purchases, strategies by strategies, one panel per protocol."
    pairs = frame[frame["strategy"] < frame["other"]]
    if len(pairs):
        most = highest(pairs, "jaccard")
        alt += (
            f" Most in common: {most['strategy']} and {most['other']} under {most['protocol']}, {most['jaccard']:.2f}."
        )
    return StudyFigure("overlap", "Overlap of what was bought", figure, frame, caption, alt)
