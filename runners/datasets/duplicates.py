"""Find duplicate images: evidence for the rules that no image is in two parts of a split."""

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
"""Number of images beyond which only equal pixels are searched for."""


def duplicate_groups(pixels: NDArray[Any]) -> dict[str, NDArray[np.int64]]:
    """Group equal and nearly equal images.

    Args:
        pixels: (n, height, width, channels).

    Returns:
        Two arrays (n,) int64 of group numbers: `content` for equal pixels, and `look` for chains of near-duplicates.
        `look` is empty for more than 100,000 images, and for features.
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
    """Group near-duplicates.

    On average, cell means differ no more than the pixels, so a search over the means misses nothing.
    """
    coarse, fine = _cell_means(pixels, 2), _cell_means(pixels, 4)
    pairs = cKDTree(coarse).query_pairs(TOLERANCE * coarse.shape[1] + 1e-3, p=1, output_type="ndarray")
    pairs = _similar(pairs, fine, TOLERANCE + 1e-3)
    pairs = _similar(pairs, pixels.reshape(len(pixels), -1), TOLERANCE)
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(pixels), len(pixels)))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _similar(pairs: NDArray[np.int64], values: NDArray[Any], tolerance: float) -> NDArray[np.int64]:
    """Return the pairs whose values (n, d) differ by at most `tolerance` on average."""
    kept = [pairs[:0]]
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        some = pairs[start : start + _PAIRS_AT_ONCE]
        difference = np.abs(values[some[:, 0]].astype(np.float32) - values[some[:, 1]]).mean(1, dtype=np.float64)
        kept.append(some[difference <= tolerance])
    return np.concatenate(kept)


def _cell_means(pixels: NDArray[np.uint8], cells: int) -> NDArray[np.float32]:
    """Compute means over cells × cells equal cells, (n, cells**2).

    Rows and columns that fill no cell are left out.
    """
    n, height, width, channels = pixels.shape
    down, across = min(cells, height), min(cells, width)
    part = pixels[:, : height // down * down, : width // across * across]
    means = part.reshape(n, down, height // down, across, width // across * channels).mean((2, 4), dtype=np.float32)
    return np.asarray(means.reshape(n, -1), np.float32)


def write_groups(folder: StudyFolder, images: Images) -> str:
    """Write the groups next to the study's splits, once per data set, and return their digest.

    Features are grouped by their images.
    """
    path = folder.twins(images.digest)
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            groups: dict[str, NDArray[Any]] = {key: file[key] for key in ("content", "look")}
    else:
        groups = duplicate_groups(images.pixels if images.source is None else images.source)
        write_arrays(path, groups)
    return array_digest(groups["content"], groups["look"])
