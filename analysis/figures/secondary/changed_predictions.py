"""Predictions that changed between the first and the last round of a run.

They are pixels of maps, or images of classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import annotate, wrap
from analysis.figures.secondary.pictures import (
    GAP,
    MOST_ROWS,
    NAMES,
    Colour,
    Pixels,
    add_patches,
    class_colours,
    colour_mask,
    in_study_order,
    show_pictures,
    to_rgb,
)
from analysis.figures.style import style_context
from analysis.secondary.changed_predictions import EACH, GAINED, LOST, MAPS, OTHER, ClassChange, MapChange, kinds

Change = MapChange | ClassChange
COLOURS: Final = {GAINED: "#1AFF1A", LOST: "#4B0092", OTHER: "#7F7F7F"}
"""Light green, dark violet, grey: they differ in lightness, for any colour vision and print; none is in `palette`."""
WORDS: Final = {GAINED: "became right", LOST: "became wrong", OTHER: "wrong as another class"}
SIDE: Final = 400
"""Approximate pixels of a tile's longer side: more would not be visible at its size in print."""
LINE: Final = 0.125
"""Height of a line of small text, inches."""
COLUMNS: Final = ("protocol", "strategy", "seed", "before", "after", "unit", "image", "gained", "lost", "other", "of")
Note = tuple[float, str]
"""Horizontal centre as a share of the strip's width, and a text."""


@dataclass(frozen=True)
class Row:
    """Pictures side by side, with a name on the left and text above and below some of them."""

    protocol: str
    name: str
    strip: Pixels
    over: tuple[Note, ...] = ()
    under: tuple[Note, ...] = ()


def changed_predictions(inputs: FigureInputs) -> StudyFigure | str:
    """Draw one row per run; for segmentation, below the images and masks themselves."""
    every = [change for change in in_study_order(inputs.bought.changes, inputs) if _has_pictures(change)]
    changes = every[:MOST_ROWS]
    if not changes:
        return "predictions or images not available: none were kept, or the data set was not found"
    width = inputs.venue.page
    cell = (width - NAMES - 0.05) / (2 * EACH + 3 * GAP)
    rows = [row for change in changes for row in _rows(change, changes, inputs, int(cell / 0.06))]
    colours = class_colours([c for c in changes if isinstance(c, MapChange)], inputs)
    with style_context(inputs.venue):
        figure = _draw(rows, colours, width)
    frame, caption = _frame(changes, inputs), _caption(changes, len(every) - len(changes))
    return StudyFigure("changed-predictions", "Where predictions changed", figure, frame, caption, _alt(frame))


def _has_pictures(change: Change) -> bool:
    """Return whether there is something to show: for classes, an image that became right or wrong."""
    return isinstance(change, MapChange) or change.gained.count + change.lost.count > 0


def _draw(rows: Sequence[Row], colours: Mapping[str, Colour], width: float) -> Figure:
    across = width - NAMES - 0.05
    heights = [across * row.strip.shape[0] / row.strip.shape[1] for row in rows]
    heads = [i == 0 or row.protocol != rows[i - 1].protocol for i, row in enumerate(rows)]
    notes = [LINE * 1.2 if row.over else 0 for row in rows]
    over = [0.04 + (0.32 if head else 0) + note for head, note in zip(heads, notes, strict=True)]
    under = [0.04 + (2.2 * LINE if row.under else 0) for row in rows]
    legend = 0.3 + 0.17 * -(-len(colours) // 5) if colours else 0.05
    total = sum(heights) + sum(over) + sum(under) + legend
    figure = Figure(figsize=(width, total))
    top = total
    for i, (row, height) in enumerate(zip(rows, heights, strict=True)):
        top -= over[i] + height
        ax = figure.add_axes((NAMES / width, top / total, across / width, height / total))
        show_pictures(ax, row.strip, row.name)
        for texts, y, offset, align in ((row.over, 1, 2, "bottom"), (row.under, 0, -2, "top")):
            for x, text in texts:
                annotate(ax, text, (x, y), (0, offset), va=align, coordinates="axes fraction")
        if heads[i]:
            y = (top + height + notes[i] + 0.06) / total
            figure.text(0.01, y, wrap(row.protocol, 60), fontweight="bold", va="bottom")
        top -= under[i]
    if colours:
        add_patches(figure, [Patch(color=colour, label=name) for name, colour in colours.items()], 5)
        changed = [Patch(color=colour, label=f"changed: {WORDS[kind]}") for kind, colour in COLOURS.items()]
        add_patches(figure, changed, 3, (legend - 0.24) / total)
    return figure


def _rows(change: Change, changes: Sequence[Change], inputs: FigureInputs, letters: int) -> list[Row]:
    names = inputs.bought.class_names(change.protocol)
    if isinstance(change, ClassChange):
        return [_class_row(change, names, letters)]
    first = next(c for c in changes if c.protocol == change.protocol)
    thinned = _thin(change)
    above = [_truth_row(thinned, len(names))] if change is first else []
    return [*above, _map_row(thinned, len(names), headed=change is first)]


def _thin(change: MapChange) -> MapChange:
    """Reduce large images to every n-th pixel."""
    step = -(-max(change.truth.shape[1:]) // SIDE)
    few = {name: getattr(change, name)[:, ::step, ::step] for name in ("pixels", "truth", "before", "after")}
    return replace(change, **few)


def _truth_row(change: MapChange, classes: int) -> Row:
    pairs = zip(change.pixels, change.truth, strict=True)
    tiles = [tile for pixels, truth in pairs for tile in (to_rgb(pixels), colour_mask(truth, classes))]
    strip, centres = _strip(tiles, 2 * MAPS, 2)
    over = tuple(zip(centres, ["image", "mask"] * len(change.truth), strict=True))
    return Row(change.protocol, "test image", strip, over)


def _map_row(change: MapChange, classes: int, *, headed: bool) -> Row:
    tiles = []
    for pixels, truth, before, after in zip(change.pixels, change.truth, change.before, change.after, strict=True):
        tiles += [colour_mask(after, classes), _mark_changes(pixels, kinds(before, after, truth, classes))]
    strip, centres = _strip(tiles, 2 * MAPS, 2)
    titles = [f"at {change.budgets[1]}", f"changed since {change.budgets[0]}"] * len(change.truth)
    return Row(change.protocol, change.strategy, strip, tuple(zip(centres, titles, strict=True)) if headed else ())


def _mark_changes(pixels: NDArray[np.uint8], changed: NDArray[np.uint8]) -> Pixels:
    """Paint what changed in colour on a pale grey copy of the image."""
    out: Pixels = np.repeat(0.7 + 0.3 * to_rgb(pixels).mean(2, keepdims=True), 3, axis=2)
    for kind, colour in COLOURS.items():
        out[changed == kind] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return out


def _class_row(change: ClassChange, names: Sequence[str], letters: int) -> Row:
    height, width = (change.gained if len(change.gained.pixels) else change.lost).pixels.shape[1:3]
    tiles, classes = [], []
    for turned in (change.gained, change.lost):
        empty = [np.ones((height, width, 3))] * (EACH - len(turned.pixels))
        tiles += [*(to_rgb(p) for p in turned.pixels), *empty]
        classes += [_name_change(a, b, names, letters) for a, b in turned.classes] + [""] * len(empty)
    strip, centres = _strip(tiles, 2 * EACH, EACH)
    budgets = f"{change.budgets[0]} → {change.budgets[1]}"
    halves = ((0, GAINED, change.gained), (EACH, LOST, change.lost))
    over = tuple(
        (sum(centres[i : i + EACH]) / EACH, f"{WORDS[kind]}, {budgets}: {turned.count} of {change.tests}")
        for i, kind, turned in halves
    )
    under = tuple((x, text) for x, text in zip(centres, classes, strict=True) if text)
    return Row(change.protocol, change.strategy, strip, over, under)


def _name_change(before: int, after: int, names: Sequence[str], letters: int) -> str:
    def short(number: int) -> str:
        name = names[number] if 0 <= number < len(names) else str(number)
        return name if len(name) <= letters else name[: letters - 1] + "…"

    line = f"{short(before)} → {short(after)}"
    return line if len(line) <= letters else f"{short(before)}\n→ {short(after)}"[: 2 * letters + 3]


def _strip(tiles: Sequence[Pixels], places: int, group: int) -> tuple[Pixels, list[float]]:
    """Place tiles on white, further apart between groups.

    Return also their centres as shares of the width.

    The strip has room for `places` tiles, whether they exist or not.
    """
    height, width = tiles[0].shape[:2]
    gap = max(1, round(GAP * width))
    out = np.ones((height, places * (width + gap) + (places // group - 1) * 2 * gap - gap, 3))
    centres = []
    for number, tile in enumerate(tiles):
        x = number * (width + gap) + number // group * 2 * gap
        out[:, x : x + width] = tile
        centres.append((x + width / 2) / out.shape[1])
    return out, centres


def _frame(changes: Sequence[Change], inputs: FigureInputs) -> pd.DataFrame:
    rows: list[tuple[object, ...]] = []
    for c in changes:
        run = (c.protocol, c.strategy, c.seed, *c.budgets)
        if isinstance(c, ClassChange):
            rows.append((*run, "images", "", c.gained.count, c.lost.count, c.other, c.tests))
            continue
        classes = len(inputs.bought.class_names(c.protocol))
        for index, truth, before, after in zip(c.indices, c.truth, c.before, c.after, strict=True):
            counts = np.bincount(kinds(before, after, truth, classes).ravel(), minlength=4)
            changed = (counts[GAINED], counts[LOST], counts[OTHER])
            rows.append((*run, "pixels", str(index), *changed, int((truth < classes).sum())))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _caption(changes: Sequence[Change], left_out: int) -> str:
    maps = any(isinstance(c, MapChange) for c in changes)
    classes = any(isinstance(c, ClassChange) for c in changes)
    return (
        f"Predictions of the last round compared with the first; n = 1, one run per strategy, seed {changes[0].seed}. "
        + (
            f"Maps: the first {MAPS} of the test images drawn by the seed, the same for all strategies. "
            if maps
            else ""
        )
        + ("White has no class. " if maps else "")
        + (f"Classes: the first {EACH} test images that became right, and that became wrong. " if classes else "")
        + ("Below each: the predicted class before and after. " if classes else "")
        + (f"{left_out} more runs are not drawn. " if left_out else "")
        + "No band; nothing is tested here: one run shows what changes, not how reliably."
    )


def _alt(frame: pd.DataFrame) -> str:
    counts = []
    for (protocol, strategy), rows in frame.groupby(["protocol", "strategy"], sort=False):
        sums, unit = rows[["gained", "lost", "of"]].sum(), rows["unit"].iloc[0]
        counts.append(
            f"{strategy} under {protocol}: {sums['gained']} became right and {sums['lost']} wrong of {sums['of']} "
            f"{unit}"
        )
    return (
        "Small pictures of test images with the predictions of the last round and what changed since the first, "
        f"one row per strategy. {'; '.join(counts[:4])}."
    )
