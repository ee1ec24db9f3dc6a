"""Contact sheet: the images that every strategy bought first, query by query, with their masks where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import folded, wrapped
from analysis.figures.secondary.tiles import Pixels, coloured, masked, palette
from analysis.figures.style import SMALL, style_context
from analysis.secondary.purchases import QUERIES, SHOWN, Sheet

MOST_ROWS: Final = 24
"""Runs; protocols and strategies beyond are left out, and the caption says so."""
NAMES: Final = 1.25
"""Inches for the names at the left."""
APART: Final = 0.09
"""Inches between two runs."""
GAP: Final = 0.12
"""White between two images, in widths of an image; between two queries it is four times as wide."""


def contact_sheet(inputs: FigureInputs) -> StudyFigure | str:
    """A row per run, a block per query."""
    sheets = _chosen(inputs)
    if not sheets:
        why = "; ".join(dict.fromkeys(inputs.bought.absent.values()))
        return f"no images of what was bought: {why or 'records hold none, and the data set was not at hand'}"
    width = inputs.venue.page
    strips = [_strip(sheet, inputs) for sheet in sheets]
    heights = [(width - NAMES) * strip.shape[0] / strip.shape[1] + APART for strip, _ in strips]
    heads = [i == 0 or s.protocol != sheets[i - 1].protocol for i, s in enumerate(sheets)]
    above = [0.52 if head else 0.0 for head in heads]
    named = _named_classes(inputs, sheets)
    below = 0.35 + 0.16 * -(-len(named) // 5)
    with style_context(inputs.venue):
        total = sum(heights) + sum(above) + below
        figure = Figure(figsize=(width, total))
        top = total
        for sheet, (strip, centres), height, head in zip(sheets, strips, heights, above, strict=True):
            top -= height + head
            ax = figure.add_axes((NAMES / width, top / total, 1 - (NAMES + 0.05) / width, (height - APART) / total))
            draw_contact_strip(ax, strip, centres if head else [], sheet)
            ax.set_ylabel(wrapped(sheet.strategy, 18), rotation=0, ha="right", va="center", fontsize=SMALL)
            if head:
                figure.text(
                    0.01, (top + height + 0.21) / total, wrapped(sheet.protocol, 60), fontweight="bold", va="bottom"
                )
        note = f"First {SHOWN} images of a query, seed {sheets[0].seed}"
        figure.text(0.5, (below - 0.2) / total, folded(note, width), ha="center", fontsize=SMALL, va="bottom")
        if named:
            handles = [Patch(color=colour, label=name) for name, colour in named.items()]
            figure.legend(
                handles=handles,
                loc="lower center",
                ncols=min(5, len(named)),
                fontsize=SMALL,
                frameon=False,
                borderaxespad=0.2,
            )
    regions = any(s.regions for s in sheets)
    currency = inputs.curves.currency()
    left_out = len(inputs.bought.sheets) - len(sheets)
    caption = (
        f"Images that were bought: the first {SHOWN} of up to {QUERIES} queries (first and last among them), in the order of purchase; n = 1 run "
        f"a strategy, seed {sheets[0].seed}, over a block the {currency} paid for before and after. "
        + ("Of regions, the image that each is of, pale where it was not bought. " if regions else "")
        + ("Below each image its mask; white has no class. " if named else "")
        + (f"{left_out} more runs are not drawn. " if left_out else "")
        + "No band; nothing is tested here: one run shows what a strategy looks for, not how well."
    )
    said = "; ".join(
        f"{s.strategy} under {s.protocol}: {', '.join(f'{q.before} to {q.after}' for q in s.queries)}"
        for s in sheets[:4]
    )
    alt = f"Small pictures of the images bought, a row per strategy, a block per query. {currency.capitalize()} before and after each query: {said}."
    return StudyFigure("contact-sheet", "What was bought", figure, _frame(sheets), caption, alt)


def draw_contact_strip(ax: Axes, strip: Pixels, centres: Sequence[float], sheet: Sheet) -> Axes:
    """One run's images side by side.

    Args:
        strip: red, green, blue in [0, 1], shape (height, width, 3).
        centres: of the blocks, in pixels; with them each block is titled with the labels before and after.
    """
    ax.imshow(strip, interpolation="nearest", aspect="auto")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    for centre, query in zip(centres, sheet.queries, strict=False):
        title = f"{query.before} → {query.after}"
        ax.annotate(
            title, (centre, 0), xytext=(0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=SMALL
        )
    return ax


def _chosen(inputs: FigureInputs) -> list[Sheet]:
    order = {s: i for i, s in enumerate(inputs.curves.strategies)}
    known = [s for s in inputs.bought.sheets if s.strategy in order]
    protocols = list(inputs.curves.protocols)
    known = sorted(
        (s for s in known if s.protocol in protocols), key=lambda s: (protocols.index(s.protocol), order[s.strategy])
    )
    return known[:MOST_ROWS]


def _strip(sheet: Sheet, inputs: FigureInputs) -> tuple[Pixels, list[float]]:
    """Images (and masks below them) on white, and the middle of every query's block."""
    height, width = sheet.queries[0].pixels.shape[1:3]
    gap = max(1, round(GAP * width))
    rows = 1 if sheet.queries[0].masks is None else 2
    block = SHOWN * (width + gap) + 3 * gap
    out = np.ones((rows * (height + gap), QUERIES * block, 3))
    classes = len(inputs.bought.class_names(sheet.protocol))
    centres = []
    for number, query in enumerate(sheet.queries):
        start = number * block
        for place, image in enumerate(query.pixels):
            x = start + place * (width + gap)
            out[:height, x : x + width] = coloured(image)
            if query.masks is not None:
                out[height + gap : 2 * height + gap, x : x + width] = masked(query.masks[place], classes)
        centres.append(start + (max(1, len(query.pixels)) * (width + gap) - gap) / 2)
    used = len(sheet.queries) * block - 4 * gap
    return out[: -gap or None, : used if used > 0 else None], centres


def _named_classes(inputs: FigureInputs, sheets: Sequence[Sheet]) -> dict[str, Any]:
    """Class -> its colour in the masks; empty without masks."""
    out: dict[str, Any] = {}
    for sheet in sheets:
        if sheet.queries[0].masks is not None:
            names = inputs.bought.class_names(sheet.protocol)
            out |= dict(zip(names, palette(len(names)), strict=True))
    return out


def _frame(sheets: Sequence[Sheet]) -> pd.DataFrame:
    rows = [
        (s.protocol, s.strategy, s.seed, q.before, q.after, place, index)
        for s in sheets
        for q in s.queries
        for place, index in enumerate(q.indices)
    ]
    return pd.DataFrame(rows, columns=["protocol", "strategy", "seed", "before", "after", "place", "index"])
