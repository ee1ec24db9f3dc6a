"""Test images whose predicted maps a segmentation run keeps, drawn before training."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol.digests import array_digest
from protocol.draws.seeds import generator
from protocol.draws.splits import Indices
from protocol.spec.protocol import Protocol

MOST_MAPS: Final = 6
"""Largest number of test images whose maps are kept."""
MOST_PIXELS: Final = 2**21
"""Largest number of pixels of all maps of a round, before compression; of larger images fewer are kept, or none."""


def draw_shown_maps(protocol: Protocol, replicate: int, tests: int, height: int, width: int) -> Indices:
    """Draw the test images whose predicted maps are kept, the same for every strategy of a seed.

    They are drawn from the split's stream, so that neither training nor strategy can influence them.

    Args:
        tests: number of test images.
        height, width: of every image, in pixels.

    Returns:
        At most MOST_MAPS ascending positions among the sorted test indices, int64; none where a single map has more
        than MOST_PIXELS.
    """
    most = min(MOST_MAPS, tests, MOST_PIXELS // (height * width))
    drawn = generator(protocol.root_seed, "split", replicate, "panel").permutation(tests)[:most]
    return np.sort(drawn).astype(np.int64)


def maps_digest(positions: NDArray[np.integer], maps: NDArray[np.integer]) -> str:
    """Return the digest of the positions and predicted maps (n, height, width), of any integer type."""
    return array_digest(positions.astype(np.int64), maps.astype(np.uint8))
