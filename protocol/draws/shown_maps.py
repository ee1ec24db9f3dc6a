"""Which predicted maps of a segmentation are kept beside its confusion matrices: those of a few test images, drawn before anything is trained."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol.digests import array_digest
from protocol.draws.seeds import generator
from protocol.draws.splits import Indices
from protocol.spec.protocol import Protocol

MOST_MAPS: Final = 6
"""Test images whose maps are kept."""
MOST_PIXELS: Final = 2**21
"""Of all maps of a round together, before compression; larger images are fewer, and one that is larger is not kept."""


def draw_shown_maps(protocol: Protocol, replicate: int, tests: int, height: int, width: int) -> Indices:
    """Places, ascending, of the panel's images among the sorted test indices; the same for every strategy of a seed.

    From the split's stream, so that neither training nor strategy has a say in which images are looked at.

    Args:
        tests: number of test images.
        height, width: of every image, pixels.

    Returns:
        At most MOST_MAPS places, int64; none where one map alone is larger than MOST_PIXELS.
    """
    most = min(MOST_MAPS, tests, MOST_PIXELS // (height * width))
    drawn = generator(protocol.root_seed, "split", replicate, "panel").permutation(tests)[:most]
    return np.sort(drawn).astype(np.int64)


def maps_digest(places: NDArray[np.integer], maps: NDArray[np.integer]) -> str:
    """Digest of the panel's places and predicted maps (n, height, width), whatever integer type holds them."""
    return array_digest(places.astype(np.int64), maps.astype(np.uint8))
