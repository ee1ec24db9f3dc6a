"""Overlap of what strategies bought."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import (
    heat,
    highest,
    own,
    seeds_in_words,
)
from analysis.figures.secondary.class_balance import heat_maps
from analysis.secondary import purchases


def draw_overlap(ax: Axes, frame: pd.DataFrame, names: Sequence[str], cell: float = 0.3) -> Axes:
    """Jaccard index of every pair of the named strategies, 0 (nothing in common) dark to 1 light; rows of `overlap` of one protocol."""
    pairs = frame.pivot(index="strategy", columns="other", values="jaccard")  # noqa: PD010  # one row per pair
    grid = pairs.reindex(index=list(names), columns=list(names))
    return heat(ax, grid.to_numpy(dtype=np.float64), names, names, cell, low=0, high=1)


def overlap(inputs: FigureInputs) -> StudyFigure | str:
    """All protocols; random beside others shows how much two strategies share by chance."""
    curves = inputs.curves
    frame = purchases.overlap(curves)
    if frame.empty:
        return "no purchases are known: a table of curves does not say what was bought"
    if frame["strategy"].nunique() < 2:
        return "one strategy has nothing to overlap with"
    n = seeds_in_words(frame["n"])
    names = [s for s in curves.strategies if s in set(frame["strategy"])]

    def draw(ax: Axes, protocol: str, cell: float) -> None:
        draw_overlap(ax, own(frame, protocol=protocol), names, cell)

    figure = heat_maps(inputs, list(dict.fromkeys(frame["protocol"])), names, len(names), draw, names, "Jaccard index")
    caption = (
        f"What was bought in common: Jaccard index of the images that two strategies bought with the same seed by the last budget (initial set left "
        f"out), mean over n = {n}. What {curves.baseline} shares with others is what chance gives. No band, no test.{inputs.upper}"
    )
    pairs = frame[frame["strategy"] < frame["other"]]
    most = highest(pairs, "jaccard") if len(pairs) else None
    alt = "Heat maps of the overlap of purchases, strategies by strategies, one panel per protocol."
    if most is not None:
        alt += (
            f" Most in common: {most['strategy']} and {most['other']} under {most['protocol']}, {most['jaccard']:.2f}."
        )
    return StudyFigure("overlap", "Overlap of what was bought", figure, frame, caption, alt)
