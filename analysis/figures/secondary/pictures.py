"""Rows of small pictures, as in contact sheets.

This module finds pixels of images and masks, the runs that are shown, and class colours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeVar

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from analysis.figures.figure import FigureInputs
from analysis.figures.layout import wrap
from analysis.figures.style import SMALL
from analysis.secondary.changed_predictions import ClassChange, MapChange
from analysis.secondary.purchases import Sheet

MOST_ROWS: Final = 24
"""Runs shown; further protocols and strategies are left out, and the caption says so."""
NAMES: Final = 1.25
"""Width of the names on the left, inches."""
GAP: Final = 0.12
"""White between two pictures, in widths of a picture."""
Pixels = NDArray[np.float64]
"""Red, green, blue in [0, 1], shape (height, width, 3)."""
Colour = tuple[float, float, float]
Run = Sheet | MapChange | ClassChange
R = TypeVar("R", bound=Run)


def in_study_order(runs: Iterable[R], inputs: FigureInputs) -> list[R]:
    """Sort the runs by protocol and strategy as in the study, without those that are not analysed."""
    protocols = {p: i for i, p in enumerate(inputs.curves.protocols)}
    strategies = {s: i for i, s in enumerate(inputs.curves.strategies)}
    shown = [r for r in runs if r.protocol in protocols and r.strategy in strategies]
    return sorted(shown, key=lambda r: (protocols[r.protocol], strategies[r.strategy]))


def to_rgb(image: NDArray[np.uint8]) -> Pixels:
    """Convert bytes of shape (height, width, 1 or 3) to red, green, blue in [0, 1]."""
    if image.shape[2] == 1:
        return np.broadcast_to(image / 255.0, (*image.shape[:2], 3))
    return np.asarray(image[..., :3] / 255.0)


def palette(classes: int) -> list[Colour]:
    """Return one colour per class; up to ten are distinguishable with colour-vision deficiency."""
    return [(c[0], c[1], c[2]) for c in sns.color_palette("colorblind" if classes <= 10 else "husl", max(classes, 1))]


def colour_mask(mask: NDArray[np.uint8], classes: int) -> Pixels:
    """Paint a mask of class numbers, shape (height, width), in the class colours.

    Pixels without a class are white.
    """
    colours = np.array(palette(classes))
    out = np.ones((*mask.shape, 3))
    has_class = mask < len(colours)
    out[has_class] = colours[mask[has_class]]
    return out


def class_colours(runs: Iterable[Run], inputs: FigureInputs) -> dict[str, Colour]:
    """Map the class names of the runs' protocols to their colours in masks."""
    out: dict[str, Colour] = {}
    for run in runs:
        names = inputs.bought.class_names(run.protocol)
        out |= dict(zip(names, palette(len(names)), strict=True))
    return out


def show_pictures(ax: Axes, pixels: Pixels, name: str) -> None:
    """Show pictures without axes, with a name on the left."""
    ax.imshow(pixels, interpolation="nearest", aspect="auto")
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_ylabel(wrap(name, 18), rotation=0, ha="right", va="center", fontsize=SMALL)


def add_patches(figure: Figure, patches: list[Patch], columns: int, y: float = 0.0) -> None:
    """Add a legend of patches at the bottom; `y` is its lower edge as a share of the figure's height."""
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, y), "borderaxespad": 0.2}
    figure.legend(handles=patches, ncols=min(columns, len(patches)), fontsize=SMALL, frameon=False, **place)
