"""STL-10's binary files as distributed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.errors import Fault, InputError
from runners.datasets.cards import Card
from runners.datasets.file_search import Place, read_or_refuse
from runners.datasets.images import Images, Labels, join_parts

_SIDE = 96
_FILES = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")


def load(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load the labelled training and test images.

    The 100,000 unlabelled images are not used. Raises InputError.
    """
    folders = [f"{above}{name}" for above in ("", "stl10/", "STL10/") for name in ("stl10_binary", "")]
    paths = place.first(card, (_FILES,), folders)
    train, test = (_images(paths[0]), _labels(paths[1])), (_images(paths[2]), _labels(paths[3]))
    return join_parts(card, str(paths[0].parent), train, test, card.classes)


def _images(path: Path) -> NDArray[np.uint8]:
    """Read images that are stored channel by channel, each column by column."""
    flat = read_or_refuse(path, lambda: np.fromfile(path, np.uint8), "bytes")
    if not len(flat) or len(flat) % (3 * _SIDE * _SIDE):
        raise InputError(
            Fault(str(path), f"whole images of {3 * _SIDE * _SIDE} bytes", f"{len(flat)} bytes", "get the file again")
        )
    return np.ascontiguousarray(flat.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 3, 2, 1))


def _labels(path: Path) -> NDArray[Any]:
    stored = read_or_refuse(path, lambda: np.fromfile(path, np.uint8), "bytes")
    return np.asarray(stored, np.int64) - 1  # stored class numbers begin at 1
