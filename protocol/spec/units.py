"""Units that are labelled: images or regions of them, numbered image by image, and their prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from protocol.digests import array_digest

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Units:
    """Numbered units of a data set's training images.

    Attributes:
        first: (images + 1,) number of each image's first unit; the last entry is the number of units.
        pixels: (units,) number of pixels of each unit.
        maps: SHA-256 of the maps from pixel to unit; empty where images and settings determine them.
    """

    first: Numbers
    pixels: Numbers
    maps: str = ""

    @classmethod
    def images(cls, n: int, pixels: int = 1) -> Units:
        """Build units that are whole images, each with the image's own number."""
        return cls(np.arange(n + 1, dtype=np.int64), np.full(n, pixels, np.int64))

    @classmethod
    def read(cls, arrays: Mapping[str, Numbers]) -> Units:
        """Build units from the arrays that a study keeps.

        Raises ValueError for arrays that do not describe units.

        Args:
            arrays: `first`, `pixels`, and the bytes of `maps`.
        """
        first, pixels, maps = arrays["first"], arrays["pixels"], arrays["maps"]
        if not len(first) or first[0] or (np.diff(first) < 1).any() or first[-1] != len(pixels) or (pixels < 1).any():
            raise ValueError("expected every image to have units, numbered image by image, of at least one pixel each")
        return cls(first, pixels, bytes(maps.astype(np.uint8).tolist()).hex())

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of all attributes."""
        return array_digest(self.first, self.pixels, self.map_bytes)

    @property
    def map_bytes(self) -> Numbers:
        """Return the bytes of `maps` as an array."""
        return np.frombuffer(bytes.fromhex(self.maps), np.uint8).astype(np.int64)

    def of(self, images: Numbers) -> Numbers:
        """Return the units of these images, in the order of the images."""
        counts = np.diff(self.first)[images]
        starts = (
            np.repeat(self.first[images] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
            if len(images)
            else counts
        )
        return (starts + np.arange(counts.sum())).astype(np.int64)

    def image_of(self, units: Numbers) -> Numbers:
        """Return the image of each unit."""
        return (np.searchsorted(self.first, units, side="right") - 1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Division:
    """Division of a data set's training images into units.

    Attributes:
        units: all units.
        maps: function from (m,) images to the unit of every pixel, (m, height, width); None: units are whole images.
    """

    units: Units
    maps: Callable[[Numbers], Numbers] | None = None


@dataclass(frozen=True, eq=False)
class PricedUnits:
    """Units with their prices, as an oracle needs them.

    Attributes:
        division: the units.
        price: function from (m,) units to their costs, (m,) at least 1. Costs may depend on labels, so only the oracle
            calls it.
    """

    division: Division
    price: Callable[[Numbers], Numbers]

    @classmethod
    def images(cls, n: int) -> PricedUnits:
        """Build n whole images at one label each."""
        return cls(Division(Units.images(n)), unit_price)


def unit_price(units: Numbers) -> Numbers:
    """Return a price of 1 for each unit."""
    return np.ones(len(units), np.int64)


def tiled(n: int, height: int, width: int, tile: tuple[int, int]) -> Division:
    """Divide n images into tiles, numbered row by row.

    Args:
        n: number of images.
        height, width: of every image, in pixels.
        tile: height and width of a tile; the last tiles of a row or column may be smaller.
    """
    rows, columns = np.arange(height) // tile[0], np.arange(width) // tile[1]
    positions = rows[:, None] * (columns[-1] + 1) + columns
    pixels = np.bincount(positions.ravel())
    units = Units(np.arange(n + 1, dtype=np.int64) * len(pixels), np.tile(pixels, n).astype(np.int64))
    return Division(units, lambda images: units.first[images][:, None, None] + positions)
