"""What was bought: overlap between strategies, and class counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.layout import (
    NAME,
    footnote,
    heat,
    highest,
    lines_of,
    names_height,
    own,
    panels,
    scale,
    seeds_in_words,
    spread_of,
)
from analysis.figures.plate import Material, Plate
from analysis.figures.style import applied
from analysis.secondary.purchases import balance, overlap

NAMED = 24
"""Beyond so many classes only some of their names fit below."""


def overlap_map(ax: Axes, frame: pd.DataFrame, names: Sequence[str], cell: float = 0.3) -> Axes:
    """Jaccard index of every pair of the named strategies, 0 (nothing in common) dark to 1 light; rows of `overlap` of one protocol."""
    pairs = frame.pivot(index="strategy", columns="other", values="jaccard")  # noqa: PD010  # one row per pair
    grid = pairs.reindex(index=list(names), columns=list(names))
    return heat(ax, grid.to_numpy(dtype=np.float64), names, names, cell, low=0, high=1)


def class_map(ax: Axes, frame: pd.DataFrame, names: Sequence[str], high: float, cell: float = 0.3) -> Axes:
    """Share of every class among the purchases of the named strategies; rows of `balance` of one protocol."""
    classes = frame.drop_duplicates("number").sort_values("number")
    grid = frame.pivot(index="strategy", columns="number", values="share").reindex(list(names))  # noqa: PD010
    heat(ax, grid.to_numpy(dtype=np.float64), names, list(classes["label"].astype(str)), cell, low=0, high=high)
    if len(classes) > NAMED:
        step = -(-len(classes) // NAMED)
        ax.set_xticks(range(0, len(classes), step), list(classes["label"].astype(str))[::step], rotation=90)
    return ax


def overlaps(material: Material) -> Plate | str:
    """All protocols; random beside others shows how much two strategies share by chance."""
    curves = material.curves
    frame = overlap(curves)
    if frame.empty:
        return "no purchases are known: a table of curves does not say what was bought"
    if frame["strategy"].nunique() < 2:
        return "one strategy has nothing to overlap with"
    n = seeds_in_words(frame["n"])
    names = [s for s in curves.strategies if s in set(frame["strategy"])]

    def draw(ax: Axes, protocol: str, cell: float) -> None:
        overlap_map(ax, own(frame, protocol=protocol), names, cell)

    figure = _maps(material, list(dict.fromkeys(frame["protocol"])), names, len(names), draw, names, "Jaccard index")
    caption = (
        f"What was bought in common: Jaccard index of the images that two strategies bought with the same seed by the last budget (initial set left "
        f"out), mean over n = {n}. What {curves.baseline} shares with others is what chance gives. No band, no test.{material.upper}"
    )
    pairs = frame[frame["strategy"] < frame["other"]]
    most = highest(pairs, "jaccard") if len(pairs) else None
    alt = "Heat maps of the overlap of purchases, strategies by strategies, one panel per protocol."
    if most is not None:
        alt += (
            f" Most in common: {most['strategy']} and {most['other']} under {most['protocol']}, {most['jaccard']:.2f}."
        )
    return Plate("overlap", "Overlap of what was bought", figure, frame, caption, alt)


def class_balance(material: Material) -> Plate | str:
    """All protocols whose data set is at hand."""
    curves = material.curves
    frame = balance(curves, material.bought)
    if frame.empty:
        why = "; ".join(dict.fromkeys(material.bought.absent.values()))
        return f"classes are not known{': ' + why if why else ''}; records hold no labels, the data set itself must be at hand"
    n = seeds_in_words(frame["n"], "run")
    names = [s for s in curves.strategies if s in set(frame["strategy"])]
    labels = frame["label"].astype(str).unique()
    high = float(frame["share"].max())

    def draw(ax: Axes, protocol: str, cell: float) -> None:
        class_map(ax, own(frame, protocol=protocol), names, high, cell)

    columns = max(own(frame, protocol=p)["number"].nunique() for p in frame["protocol"].unique())
    figure = _maps(
        material,
        list(dict.fromkeys(frame["protocol"])),
        names,
        columns,
        draw,
        list(labels),
        "share of purchases",
    )
    caption = (
        f"Class balance of what was bought: share of every class among the images that a strategy's queries bought by the last budget (initial set left "
        f"out), mean over n = {n}; {curves.baseline} shows the pool's own shares. Counts are in the CSV. No band, no test.{material.upper}"
    )
    uneven = highest(spread_of(frame, ["protocol", "strategy"], "share"), "share")
    alt = f"Heat maps of class shares, strategies by classes, one panel per protocol. The most uneven is {uneven['strategy']} under {uneven['protocol']}: largest and smallest share differ by {uneven['share']:.2f}."
    return Plate("class-balance", "Classes of what was bought", figure, frame, caption, alt)


def _maps(
    material: Material,
    protocols: Sequence[str],
    names: Sequence[str],
    columns: int,
    draw: Callable[[Axes, str, float], None],
    below: Sequence[str],
    what: str,
) -> Figure:
    """A heat map per protocol, two side by side unless there are many columns; cells as large as they can be."""
    side = 1 if columns > 8 or len(protocols) == 1 or material.venue.page < 6 else 2
    named = 0.055 * min(NAME, max(map(len, names)))
    room = material.venue.page / side - 0.8 - named
    cell = room / max(columns, 1)
    row = max(0.13 * lines_of(names), min(0.2, cell))
    height = row * len(names) + 0.55 + names_height(below, cell)
    with applied(material.venue):
        figure = panels(
            protocols,
            lambda ax, p: draw(ax, p, cell),
            height,
            material.venue,
            columns=side,
            wide=True,
            beside=0.5 + named,
        )
        scale(figure, [ax for ax in figure.axes if ax.axison])
        footnote(figure, what)
    return figure
