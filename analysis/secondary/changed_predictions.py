"""Where the predictions of a run's last round are not those of its first: pixels of a few maps, or whole test images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

MAPS: Final = 3
"""Test images whose maps are shown."""
EACH: Final = 4
"""Test images shown of those that became right, and of those that became wrong."""
UNCHANGED, GAINED, LOST, OTHER = 0, 1, 2, 3
"""Kinds of change: none; wrong before and right now; right before and wrong now; wrong before and after, as another class."""


def kinds(
    before: NDArray[np.integer], after: NDArray[np.integer], truth: NDArray[np.integer], classes: int
) -> NDArray[np.uint8]:
    """What became of every prediction, in any shape; where the truth is none of `classes` (void) it counts as unchanged."""
    out = np.where(before == after, UNCHANGED, OTHER)
    out[(after == truth) & (before != truth)] = GAINED
    out[(before == truth) & (after != truth)] = LOST
    out[(truth < 0) | (truth >= classes)] = UNCHANGED
    return out.astype(np.uint8)


@dataclass(frozen=True, eq=False)
class MapChange:
    """Of one segmentation run, at most MAPS test images, at least one.

    Attributes:
        budgets: of the first round and of the last.
        indices: of the images, (k,).
        pixels: (k, height, width, 1 or 3) uint8.
        truth: class numbers, (k, height, width); a number beyond the classes is void.
        before, after: predicted classes in the first and in the last round, (k, height, width).
    """

    protocol: str
    strategy: str
    seed: int
    budgets: tuple[int, int]
    indices: tuple[int, ...]
    pixels: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Turned:
    """Test images that became right, or wrong: how many, and the first EACH of them in the order of the test set.

    Attributes:
        indices: of those that are shown, (k,).
        pixels: (k, height, width, 1 or 3) uint8.
        classes: (predicted before, predicted now) of each, class numbers.
    """

    count: int
    indices: tuple[int, ...]
    pixels: NDArray[np.uint8]
    classes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class ClassChange:
    """Of one classification run.

    Attributes:
        budgets: of the first round and of the last.
        tests: number of test images.
        gained: wrong in the first round, right in the last.
        lost: right in the first round, wrong in the last.
        other: number of those that were wrong and are wrong as another class.
    """

    protocol: str
    strategy: str
    seed: int
    budgets: tuple[int, int]
    tests: int
    gained: Turned
    lost: Turned
    other: int
