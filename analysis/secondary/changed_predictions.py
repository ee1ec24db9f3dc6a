"""Predictions that differ between the first and the last round of a run.

They are pixels of a few maps, or test images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

MAPS: Final = 3
"""Number of test images whose maps are shown."""
EACH: Final = 4
"""Number of test images shown of those gained, and of those lost."""
UNCHANGED, GAINED, LOST, OTHER = 0, 1, 2, 3
"""Kinds of change: none; wrong, then right; right, then wrong; wrong as one class, then as a different one."""


def kinds(
    before: NDArray[np.integer], after: NDArray[np.integer], truth: NDArray[np.integer], classes: int
) -> NDArray[np.uint8]:
    """Classify the change of every prediction, in any shape.

    Args:
        before, after: predicted classes.
        truth: true classes; numbers outside 0 ... classes - 1 are void and count as unchanged.
        classes: number of classes.
    """
    out = np.where(before == after, UNCHANGED, OTHER)
    out[(after == truth) & (before != truth)] = GAINED
    out[(before == truth) & (after != truth)] = LOST
    out[(truth < 0) | (truth >= classes)] = UNCHANGED
    return out.astype(np.uint8)


@dataclass(frozen=True, eq=False)
class MapChange:
    """Changed maps of one segmentation run: at least one test image, at most `MAPS`.

    Attributes:
        budgets: budgets of the first and the last round.
        indices: indices of the images, (k,).
        pixels: images, (k, height, width, 1 or 3) uint8.
        truth: class numbers, (k, height, width); numbers beyond the classes are void.
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
    """Test images gained or lost: their number, and the first `EACH` of them in the order of the test set.

    Attributes:
        count: number of all such images.
        indices: indices of those shown, (k,).
        pixels: images, (k, height, width, 1 or 3) uint8.
        classes: predicted class before and after, of each.
    """

    count: int
    indices: tuple[int, ...]
    pixels: NDArray[np.uint8]
    classes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class ClassChange:
    """Changed predictions of one classification run.

    Attributes:
        budgets: budgets of the first and the last round.
        tests: number of test images.
        gained: wrong in the first round, right in the last.
        lost: right in the first round, wrong in the last.
        other: number of images that were wrong and are now wrong as a different class.
    """

    protocol: str
    strategy: str
    seed: int
    budgets: tuple[int, int]
    tests: int
    gained: Turned
    lost: Turned
    other: int
