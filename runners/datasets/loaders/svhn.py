"""Street View House Numbers, cropped digits: MATLAB files as distributed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.errors import Fault, InputError
from runners.datasets.cards import Card
from runners.datasets.file_search import Place, read_or_refuse
from runners.datasets.images import Images, Labels, join_parts


def load(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load training and test images; the extra images are not used. Raises InputError."""
    train, test = place.first(card, (("train_32x32.mat", "test_32x32.mat"),), ("svhn", "SVHN", ""))
    return join_parts(card, str(train.parent), _part(train), _part(test), card.classes)


def _part(path: Path) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    from scipy.io import loadmat  # slow to import, so only where it is used

    table = read_or_refuse(path, lambda: loadmat(str(path), variable_names=["X", "y"]), "a MATLAB file")
    if missing := [key for key in ("X", "y") if key not in table]:
        raise InputError(
            Fault(str(path), "arrays X and y", f"no {' and no '.join(missing)}", "get format 2, the cropped digits")
        )
    pixels, labels = np.asarray(table["X"]), np.asarray(table["y"]).reshape(-1).astype(np.int64)
    if pixels.ndim != 4:
        raise InputError(
            Fault(f"{path}: X", "shape (32, 32, 3, n)", str(pixels.shape), "get format 2, the cropped digits")
        )
    return np.ascontiguousarray(pixels.transpose(3, 0, 1, 2)), labels % 10  # the digit 0 is stored as 10
