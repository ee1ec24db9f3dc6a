"""Pixels of images and masks, as figures that show some side by side need them."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from numpy.typing import NDArray

Pixels = NDArray[np.float64]


def coloured(image: NDArray[np.uint8]) -> Pixels:
    """(height, width, 1 or 3) bytes as red, green, blue in [0, 1]."""
    return (
        np.broadcast_to(image / 255.0, (*image.shape[:2], 3))
        if image.shape[2] == 1
        else np.asarray(image[..., :3] / 255.0)
    )


def palette(classes: int) -> list[tuple[float, float, float]]:
    """A colour a class; those of up to ten are told apart with colour-vision deficiency."""
    return [(c[0], c[1], c[2]) for c in sns.color_palette("colorblind" if classes <= 10 else "husl", max(classes, 1))]


def masked(mask: NDArray[np.uint8], classes: int) -> Pixels:
    """(height, width) class numbers in their colours; white where there is no class."""
    colours = np.array(palette(classes))
    out = np.ones((*mask.shape, 3))
    known = mask < len(colours)
    out[known] = colours[mask[known]]
    return out
