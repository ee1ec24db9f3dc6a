"""Downscale images by averaging, for studies on a CPU."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Final

import numpy as np

from protocol.errors import Fault, InputError
from runners.datasets.images import Images

_AT_ONCE: Final = 512


def downscale(images: Images, side: int) -> Images:
    """Replace equal square cells by their means, rounded half up.

    The digest stays that of the original content.

    Args:
        images: uint8 images.
        side: shorter side of the result in pixels; cells must divide both sides exactly.

    Raises:
        InputError: cells do not divide both sides, or the images are features.
    """
    shorter = min(images.height, images.width)
    fits = [shorter // c for c in range(1, shorter + 1) if shorter % c == images.height % c == images.width % c == 0]
    if side not in fits or images.pixels.dtype != np.uint8:
        expected = f"one of {fits}" if images.pixels.dtype == np.uint8 else "none: these are features, not images"
        found = f"{side}, for {images.height}×{images.width} (height×width)"
        raise InputError(Fault("data.resolution", expected, found, "change it or leave it out"))
    n, height, width, channels = images.pixels.shape
    cell = shorter // side
    pixels = np.empty((n, height // cell, width // cell, channels), np.uint8)
    for start in range(0, n, _AT_ONCE):
        part = images.pixels[start : start + _AT_ONCE]
        sums = np.full((len(part), *pixels.shape[1:]), cell * cell // 2, np.uint32)
        for row, column in itertools.product(range(cell), repeat=2):
            sums += part[:, row::cell, column::cell]
        pixels[start : start + _AT_ONCE] = sums // (cell * cell)
    pixels.flags.writeable = False
    return replace(images, pixels=pixels)
