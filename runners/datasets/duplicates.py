"""Which images of a data set look alike: evidence for the rules that no image is in two parts of a split by its content."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from protocol.digests import array_digest
from protocol.record.layout import StudyFolder, write_arrays
from runners.datasets.images import Images

TOLERANCE: Final = 2.0
"""Mean absolute difference, in grey levels of 255, up to which two images are near-duplicates."""
_PAIRS_AT_ONCE: Final = 4096
_MOST_IMAGES: Final = 100_000
"""Beyond this, only equal pixels are looked for."""


def duplicate_groups(pixels: NDArray[Any]) -> dict[str, NDArray[np.int64]]:
    """Group numbers of all images: `content` for equal pixels, `look` for chains of near-duplicates (empty if there
    are too many images, or features instead of images).

    Args:
        pixels: (n, height, width, channels).

    Returns:
        Two arrays (n,) int64; two images are alike if their numbers are equal.
    """
    seen: dict[bytes, int] = {}
    content = np.asarray(
        [seen.setdefault(hashlib.sha256(image.tobytes()).digest(), i) for i, image in enumerate(pixels)], np.int64
    )
    return {
        "content": content,
        "look": _near(pixels) if pixels.dtype == np.uint8 and len(pixels) <= _MOST_IMAGES else np.empty(0, np.int64),
    }


def _near(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Means over cells differ, on average, by no more than the pixels do; so a search over the means misses nothing."""
    coarse, fine = _cell_means(pixels, 2), _cell_means(pixels, 4)
    pairs = cKDTree(coarse).query_pairs(TOLERANCE * coarse.shape[1] + 1e-3, p=1, output_type="ndarray")
    pairs = _similar(pairs, fine, TOLERANCE + 1e-3)
    pairs = _similar(pairs, pixels.reshape(len(pixels), -1), TOLERANCE)
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(pixels), len(pixels)))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _similar(pairs: NDArray[np.int64], values: NDArray[Any], tolerance: float) -> NDArray[np.int64]:
    """The pairs whose values, shape (n, d), differ by no more than `tolerance` on average."""
    kept = [pairs[:0]]
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        some = pairs[start : start + _PAIRS_AT_ONCE]
        difference = np.abs(values[some[:, 0]].astype(np.float32) - values[some[:, 1]]).mean(1, dtype=np.float64)
        kept.append(some[difference <= tolerance])
    return np.concatenate(kept)


def _cell_means(pixels: NDArray[np.uint8], cells: int) -> NDArray[np.float32]:
    """Means over cells x cells equal cells, shape (n, cells**2); the last rows and columns that fill no cell are left out."""
    n, height, width, channels = pixels.shape
    down, across = min(cells, height), min(cells, width)
    part = pixels[:, : height // down * down, : width // across * across]
    means = part.reshape(n, down, height // down, across, width // across * channels).mean((2, 4), dtype=np.float32)
    return np.asarray(means.reshape(n, -1), np.float32)


def write_groups(folder: StudyFolder, images: Images) -> str:
    """Write the groups beside the study's splits, once for a data set; returns their digest. Features are as alike as their images."""
    path = folder.twins(images.digest)
    if path.exists():
        with np.load(path, allow_pickle=False) as kept:
            there: dict[str, NDArray[Any]] = {key: kept[key] for key in ("content", "look")}
    else:
        there = duplicate_groups(images.pixels if images.source is None else images.source)
        write_arrays(path, there)
    return array_digest(there["content"], there["look"])
