"""Where predictions changed: of maps the pixels, of classes the images, from a run's first round to its last, a row a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import wrapped
from analysis.figures.secondary.contact_sheet import GAP, MOST_ROWS, NAMES
from analysis.figures.secondary.tiles import Pixels, coloured, masked, palette
from analysis.figures.style import SMALL, style_context
from analysis.secondary.changed_predictions import EACH, GAINED, LOST, MAPS, OTHER, ClassChange, MapChange, kinds

Change = MapChange | ClassChange
COLOURS: Final = {GAINED: "#1AFF1A", LOST: "#4B0092", OTHER: "#7F7F7F"}
"""Light green, dark violet and grey between: apart in lightness, so with any colour vision and in print; no colours of `palette`."""
WORDS: Final = {GAINED: "became right", LOST: "became wrong", OTHER: "wrong as another class"}
SIDE: Final = 400
"""Pixels of a tile's longer side, about: more are not seen at its size in print."""
LINE: Final = 0.125
"""Inches of a line of small text."""
COLUMNS: Final = ("protocol", "strategy", "seed", "before", "after", "unit", "image", "gained", "lost", "other", "of")
Note = tuple[float, str]
"""The middle of what it stands over or under, as a share of the strip's width, and a text."""


@dataclass(frozen=True)
class Row:
    """Pictures side by side, with a name at the left, text over some of them and under some."""

    protocol: str
    name: str
    strip: Pixels
    over: tuple[Note, ...] = ()
    under: tuple[Note, ...] = ()


def changed_predictions(inputs: FigureInputs) -> StudyFigure | str:
    """A row per run, below the images and masks that it is about where it is a segmentation."""
    changes, left_out = _chosen(inputs)
    if not changes:
        return "no predictions of two rounds with the images that they are of: none were kept, or the data set was not at hand"
    width = inputs.venue.page
    cell = (width - NAMES - 0.05) / (2 * EACH + 3 * GAP)
    rows = [row for change in changes for row in _rows(change, changes, inputs, int(cell / 0.06))]
    named = _named(inputs, changes)
    with style_context(inputs.venue):
        figure = _drawn(rows, named, width)
    return StudyFigure(
        "changed-predictions",
        "Where predictions changed",
        figure,
        _frame(changes, inputs),
        _caption(changes, left_out),
        _alt(changes, inputs),
    )


def _drawn(rows: Sequence[Row], named: dict[str, str | tuple[float, float, float]], width: float) -> Figure:
    across = width - NAMES - 0.05
    heights = [across * row.strip.shape[0] / row.strip.shape[1] for row in rows]
    heads = [i == 0 or row.protocol != rows[i - 1].protocol for i, row in enumerate(rows)]
    over = [
        0.04 + (0.32 if head else 0) + (LINE * 1.2 if row.over else 0) for row, head in zip(rows, heads, strict=True)
    ]
    under = [0.04 + (2.2 * LINE if row.under else 0) for row in rows]
    legend = 0.3 + 0.17 * -(-len(named) // 5) if named else 0.05
    total = sum(heights) + sum(over) + sum(under) + legend
    figure = Figure(figsize=(width, total))
    top = total
    for row, height, head, above, below in zip(rows, heights, heads, over, under, strict=True):
        top -= above + height
        ax = figure.add_axes((NAMES / width, top / total, across / width, height / total))
        ax.imshow(row.strip, interpolation="nearest", aspect="auto")
        ax.set(xticks=[], yticks=[])
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.set_ylabel(wrapped(row.name, 18), rotation=0, ha="right", va="center", fontsize=SMALL)
        for notes, y, offset, align in ((row.over, 1, 2, "bottom"), (row.under, 0, -2, "top")):
            for x, said in notes:
                ax.annotate(
                    said,
                    (x, y),
                    xycoords="axes fraction",
                    xytext=(0, offset),
                    textcoords="offset points",
                    ha="center",
                    va=align,
                    fontsize=SMALL,
                )
        if head:
            place = top + height + (LINE * 1.2 if row.over else 0) + 0.06
            figure.text(0.01, place / total, wrapped(row.protocol, 60), fontweight="bold", va="bottom")
        top -= below
    if named:
        meant = [Patch(color=colour, label=name) for name, colour in named.items()]
        changed = [Patch(color=colour, label=f"changed: {WORDS[kind]}") for kind, colour in COLOURS.items()]
        for handles, columns, height in ((meant, 5, 0.0), (changed, 3, legend - 0.24)):
            place = {"loc": "lower center", "bbox_to_anchor": (0.5, height / total), "borderaxespad": 0.2}
            figure.legend(handles=handles, ncols=min(columns, len(handles)), fontsize=SMALL, frameon=False, **place)
    return figure


def _rows(change: Change, changes: Sequence[Change], inputs: FigureInputs, letters: int) -> list[Row]:
    names = inputs.bought.class_names(change.protocol)
    if isinstance(change, ClassChange):
        return [_class_row(change, names, letters)]
    first = next(c for c in changes if c.protocol == change.protocol)
    drawn = _thinned(change)
    above = [_truth_row(drawn, len(names))] if change is first else []
    return [*above, _map_row(drawn, len(names), headed=change is first)]


def _thinned(change: MapChange) -> MapChange:
    """Every so many-th pixel of large images."""
    step = -(-max(change.truth.shape[1:]) // SIDE)
    few = {name: getattr(change, name)[:, ::step, ::step] for name in ("pixels", "truth", "before", "after")}
    return replace(change, **few)


def _truth_row(change: MapChange, classes: int) -> Row:
    tiles = [
        tile
        for pixels, truth in zip(change.pixels, change.truth, strict=True)
        for tile in (coloured(pixels), masked(truth, classes))
    ]
    strip, middles = _strip(tiles, 2 * MAPS, 2)
    return Row(
        change.protocol, "test image", strip, tuple(zip(middles, ["image", "mask"] * len(change.truth), strict=True))
    )


def _map_row(change: MapChange, classes: int, *, headed: bool) -> Row:
    tiles = []
    for pixels, truth, before, after in zip(change.pixels, change.truth, change.before, change.after, strict=True):
        tiles += [masked(after, classes), _marked(pixels, kinds(before, after, truth, classes))]
    strip, middles = _strip(tiles, 2 * MAPS, 2)
    said = [f"at {change.budgets[1]}", f"changed since {change.budgets[0]}"] * len(change.truth)
    return Row(change.protocol, change.strategy, strip, tuple(zip(middles, said, strict=True)) if headed else ())


def _marked(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], became: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> Pixels:
    """The image, pale and grey, with what changed in colour."""
    out: Pixels = np.repeat(0.7 + 0.3 * coloured(pixels).mean(2, keepdims=True), 3, axis=2)
    for kind, colour in COLOURS.items():
        out[became == kind] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return out


def _class_row(change: ClassChange, names: Sequence[str], letters: int) -> Row:
    height, width = (change.gained if len(change.gained.pixels) else change.lost).pixels.shape[1:3]
    tiles, under = [], []
    for turned in (change.gained, change.lost):
        empty = [np.ones((height, width, 3))] * (EACH - len(turned.pixels))
        tiles += [*(coloured(p) for p in turned.pixels), *empty]
        under += [_named_turn(a, b, names, letters) for a, b in turned.classes] + [""] * len(empty)
    strip, middles = _strip(tiles, 2 * EACH, EACH)
    budgets = f"{change.budgets[0]} → {change.budgets[1]}"
    counted = [
        f"{WORDS[kind]}, {budgets}: {t.count} of {change.tests}"
        for kind, t in ((GAINED, change.gained), (LOST, change.lost))
    ]
    over = tuple((sum(middles[i : i + EACH]) / EACH, said) for i, said in zip((0, EACH), counted, strict=True))
    return Row(
        change.protocol,
        change.strategy,
        strip,
        over,
        tuple((x, said) for x, said in zip(middles, under, strict=True) if said),
    )


def _named_turn(before: int, after: int, names: Sequence[str], letters: int) -> str:
    def short(number: int) -> str:
        name = names[number] if 0 <= number < len(names) else str(number)
        return name if len(name) <= letters else name[: letters - 1] + "…"

    one = f"{short(before)} → {short(after)}"
    return one if len(one) <= letters else f"{short(before)}\n→ {short(after)}"[: 2 * letters + 3]


def _strip(tiles: Sequence[Pixels], places: int, group: int) -> tuple[Pixels, list[float]]:
    """Tiles on white, further apart between groups, with room for so many; and the middle of each as a share of the width."""
    height, width = tiles[0].shape[:2]
    gap = max(1, round(GAP * width))
    out = np.ones((height, places * (width + gap) + (places // group - 1) * 2 * gap - gap, 3))
    middles = []
    for number, tile in enumerate(tiles):
        x = number * (width + gap) + number // group * 2 * gap
        out[:, x : x + width] = tile
        middles.append((x + width / 2) / out.shape[1])
    return out, middles


def _chosen(inputs: FigureInputs) -> tuple[list[Change], int]:
    order = {s: i for i, s in enumerate(inputs.curves.strategies)}
    protocols = list(inputs.curves.protocols)
    known = [c for c in inputs.bought.changes if c.strategy in order and c.protocol in protocols and _pictured(c)]
    known.sort(key=lambda c: (protocols.index(c.protocol), order[c.strategy]))
    return known[:MOST_ROWS], max(0, len(known) - MOST_ROWS)


def _pictured(change: Change) -> bool:
    """Whether there is something to show: of classes, an image that became right or wrong."""
    return isinstance(change, MapChange) or change.gained.count + change.lost.count > 0


def _named(inputs: FigureInputs, changes: Sequence[Change]) -> dict[str, str | tuple[float, float, float]]:
    """What the colours of masks mean; empty without maps."""
    out: dict[str, str | tuple[float, float, float]] = {}
    for change in changes:
        if isinstance(change, MapChange):
            names = inputs.bought.class_names(change.protocol)
            out |= dict(zip(names, palette(len(names)), strict=True))
    return out


def _frame(changes: Sequence[Change], inputs: FigureInputs) -> pd.DataFrame:
    rows: list[tuple[object, ...]] = []
    for c in changes:
        where = (c.protocol, c.strategy, c.seed, *c.budgets)
        if isinstance(c, ClassChange):
            rows.append((*where, "images", "", c.gained.count, c.lost.count, c.other, c.tests))
            continue
        classes = len(inputs.bought.class_names(c.protocol))
        for index, truth, before, after in zip(c.indices, c.truth, c.before, c.after, strict=True):
            counts = np.bincount(kinds(before, after, truth, classes).ravel(), minlength=4)
            rows.append(
                (
                    *where,
                    "pixels",
                    str(index),
                    counts[GAINED],
                    counts[LOST],
                    counts[OTHER],
                    int((truth < classes).sum()),
                )
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _caption(changes: Sequence[Change], left_out: int) -> str:
    maps = any(isinstance(c, MapChange) for c in changes)
    classes = any(isinstance(c, ClassChange) for c in changes)
    return (
        f"Predictions of the last round beside those of the first; n = 1 run a strategy, seed {changes[0].seed}. "
        + (
            f"Of maps: the first {MAPS} test images of those that the seed draws, the same for all strategies. White has no class. "
            if maps
            else ""
        )
        + (
            f"Of classes: the first {EACH} test images in their order that became right, and that became wrong; below each what it was taken for "
            "before and now. "
            if classes
            else ""
        )
        + (f"{left_out} more runs are not drawn. " if left_out else "")
        + "No band; nothing is tested here: one run shows what changes, not how surely."
    )


def _alt(changes: Sequence[Change], inputs: FigureInputs) -> str:
    frame = _frame(changes, inputs)
    said = []
    for (protocol, strategy), own in frame.groupby(["protocol", "strategy"], sort=False):
        sums = own[["gained", "lost", "of"]].sum()
        said.append(
            f"{strategy} under {protocol}: {sums['gained']} became right and {sums['lost']} wrong of {sums['of']} {own['unit'].iloc[0]}"
        )
    return f"Small pictures of test images with predictions of the last round and what changed since the first, a row per strategy. {'; '.join(said[:4])}."
