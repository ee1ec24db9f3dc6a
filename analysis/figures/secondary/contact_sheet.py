"""Contact sheet: the first images that each strategy bought, query by query.

Masks are shown if there are any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.figures.figure import FigureInputs, StudyFigure
from analysis.figures.layout import annotate, fold, wrap
from analysis.figures.secondary.pictures import (
    GAP,
    MOST_ROWS,
    NAMES,
    Pixels,
    add_patches,
    class_colours,
    colour_mask,
    in_study_order,
    show_pictures,
    to_rgb,
)
from analysis.figures.style import SMALL, style_context
from analysis.secondary.purchases import QUERIES, SHOWN, Sheet

APART: Final = 0.09
"""Distance between two runs, inches."""


def contact_sheet(inputs: FigureInputs) -> StudyFigure | str:
    """Draw one row per run and one block per query."""
    sheets = in_study_order(inputs.bought.sheets, inputs)[:MOST_ROWS]
    if not sheets:
        why = "; ".join(dict.fromkeys(inputs.bought.absent.values()))
        return (
            f"images of the purchases are not available: {why or 'records hold none, and the data set was not found'}"
        )
    width = inputs.venue.page
    strips = [_strip(sheet, len(inputs.bought.class_names(sheet.protocol))) for sheet in sheets]
    heights = [(width - NAMES) * strip.shape[0] / strip.shape[1] + APART for strip, _ in strips]
    heads = [i == 0 or s.protocol != sheets[i - 1].protocol for i, s in enumerate(sheets)]
    colours = class_colours([s for s in sheets if s.queries[0].masks is not None], inputs)
    below = 0.35 + 0.16 * -(-len(colours) // 5)
    total = sum(heights) + 0.52 * sum(heads) + below
    with style_context(inputs.venue):
        figure = Figure(figsize=(width, total))
        top = total
        for sheet, (strip, centres), height, head in zip(sheets, strips, heights, heads, strict=True):
            top -= height + (0.52 if head else 0)
            ax = figure.add_axes((NAMES / width, top / total, 1 - (NAMES + 0.05) / width, (height - APART) / total))
            draw_contact_strip(ax, strip, centres if head else [], sheet)
            if head:
                y, protocol = (top + height + 0.21) / total, wrap(sheet.protocol, 60)
                figure.text(0.01, y, protocol, fontweight="bold", va="bottom")
        note = fold(f"First {SHOWN} images of a query, seed {sheets[0].seed}", width)
        figure.text(0.5, (below - 0.2) / total, note, ha="center", fontsize=SMALL, va="bottom")
        if colours:
            add_patches(figure, [Patch(color=colour, label=name) for name, colour in colours.items()], 5)
    currency = inputs.curves.currency()
    left_out = len(inputs.bought.sheets) - len(sheets)
    regions = any(s.regions for s in sheets)
    caption = (
        f"Images that were bought: the first {SHOWN} of up to {QUERIES} queries (first and last included), in the "
        f"order of purchase; n = 1, one run per strategy, seed {sheets[0].seed}. Above each block: {currency} paid "
        "for before and after. "
        + ("A region is shown within its image, which is pale where it was not bought. " if regions else "")
        + ("Below each image is its mask; white has no class. " if colours else "")
        + (f"{left_out} more runs are not drawn. " if left_out else "")
        + "No band; nothing is tested here: one run shows what a strategy picks, not how well it works."
    )
    ranges = "; ".join(
        f"{s.strategy} under {s.protocol}: {', '.join(f'{q.before} to {q.after}' for q in s.queries)}"
        for s in sheets[:4]
    )
    alt = (
        "Small pictures of the images bought, one row per strategy, one block per query. "
        f"{currency.capitalize()} before and after each query: {ranges}."
    )
    return StudyFigure("contact-sheet", "What was bought", figure, _frame(sheets), caption, alt)


def draw_contact_strip(ax: Axes, strip: Pixels, centres: Sequence[float], sheet: Sheet) -> Axes:
    """Draw the images of one run side by side.

    Args:
        centres: of the blocks, pixels; if given, each block is titled with the labels before and after.
    """
    show_pictures(ax, strip, sheet.strategy)
    for centre, query in zip(centres, sheet.queries, strict=False):
        annotate(ax, f"{query.before} → {query.after}", (centre, 0), (0, 2))
    return ax


def _strip(sheet: Sheet, classes: int) -> tuple[Pixels, list[float]]:
    """Place images, with any masks below them, on white; return also the centre of each block.

    The gap between two queries is four times as wide as the gap between two images.
    """
    height, width = sheet.queries[0].pixels.shape[1:3]
    gap = max(1, round(GAP * width))
    rows = 1 if sheet.queries[0].masks is None else 2
    block = SHOWN * (width + gap) + 3 * gap
    out = np.ones((rows * (height + gap), QUERIES * block, 3))
    centres = []
    for number, query in enumerate(sheet.queries):
        start = number * block
        for place, image in enumerate(query.pixels):
            x = start + place * (width + gap)
            out[:height, x : x + width] = to_rgb(image)
            if query.masks is not None:
                out[height + gap : 2 * height + gap, x : x + width] = colour_mask(query.masks[place], classes)
        centres.append(start + (max(1, len(query.pixels)) * (width + gap) - gap) / 2)
    used = len(sheet.queries) * block - 4 * gap
    return out[: -gap or None, : used if used > 0 else None], centres


def _frame(sheets: Sequence[Sheet]) -> pd.DataFrame:
    rows = [
        (s.protocol, s.strategy, s.seed, q.before, q.after, place, index)
        for s in sheets
        for q in s.queries
        for place, index in enumerate(q.indices)
    ]
    return pd.DataFrame(rows, columns=["protocol", "strategy", "seed", "before", "after", "place", "index"])
