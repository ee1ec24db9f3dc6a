"""Divide images into the units that are labelled, and price them."""

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
    """What can be bought of a data set's training images, numbered image by image.

    Attributes:
        first: (images + 1,) number of each image's first unit; the last entry is the number of all units.
        pixels: (units,) pixels of each.
        maps: SHA-256 of which pixel belongs to which unit, where images and settings do not say it by themselves; empty: they do.
    """

    first: Numbers
    pixels: Numbers
    maps: str = ""

    @classmethod
    def images(cls, n: int, pixels: int = 1) -> Units:
        """Every image one unit, with the image's own number."""
        return cls(np.arange(n + 1, dtype=np.int64), np.full(n, pixels, np.int64))

    @classmethod
    def read(cls, arrays: Mapping[str, Numbers]) -> Units:
        """From what a study keeps of them, `first`, `pixels` and `maps`. Raises ValueError for arrays that are no such thing."""
        first, pixels, maps = arrays["first"], arrays["pixels"], arrays["maps"]
        if not len(first) or first[0] or (np.diff(first) < 1).any() or first[-1] != len(pixels) or (pixels < 1).any():
            raise ValueError("units that do not follow one another, image by image")
        return cls(first, pixels, bytes(maps.astype(np.uint8).tolist()).hex())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return array_digest(self.first, self.pixels, self.map_bytes)

    @property
    def map_bytes(self) -> Numbers:
        """`maps` as bytes in an array."""
        return np.frombuffer(bytes.fromhex(self.maps), np.uint8).astype(np.int64)

    def of(self, images: Numbers) -> Numbers:
        """Units of these images, in their order."""
        counts = np.diff(self.first)[images]
        starts = (
            np.repeat(self.first[images] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
            if len(images)
            else counts
        )
        return (starts + np.arange(counts.sum())).astype(np.int64)

    def image_of(self, units: Numbers) -> Numbers:
        """The image of each unit."""
        return (np.searchsorted(self.first, units, side="right") - 1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Division:
    """How a data set's training images are divided into units.

    Attributes:
        units: all there are.
        maps: (m,) images to the unit of every pixel, (m, height, width); None: units are whole images.
    """

    units: Units
    maps: Callable[[Numbers], Numbers] | None = None


@dataclass(frozen=True, eq=False)
class PricedUnits:
    """What an oracle sells, and at what price.

    Attributes:
        division: what can be bought.
        price: cost of each of some units, (m,) at least 1. May depend on their labels, so only the oracle asks.
    """

    division: Division
    price: Callable[[Numbers], Numbers]

    @classmethod
    def images(cls, n: int) -> PricedUnits:
        """Whole images, one label each."""
        return cls(Division(Units.images(n)), unit_price)


def unit_price(units: Numbers) -> Numbers:
    """A price of 1."""
    return np.ones(len(units), np.int64)


def tiled(n: int, height: int, width: int, tile: tuple[int, int]) -> Division:
    """n images cut into tiles of (height, width) pixels, row by row."""
    rows, columns = np.arange(height) // tile[0], np.arange(width) // tile[1]
    places = rows[:, None] * (columns[-1] + 1) + columns
    pixels = np.bincount(places.ravel())
    units = Units(np.arange(n + 1, dtype=np.int64) * len(pixels), np.tile(pixels, n).astype(np.int64))
    return Division(units, lambda images: units.first[images][:, None, None] + places)
