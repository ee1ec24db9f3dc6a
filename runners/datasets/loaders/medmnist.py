"""MedMNIST's .npz files as distributed, with one class per image."""

from __future__ import annotations

import numpy as np

from protocol.errors import Fault, InputError
from runners.datasets.cards import Card
from runners.datasets.file_search import Place, npz_arrays
from runners.datasets.images import Images, Labels, join_parts


def load(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load training and validation images, in this order, as the pool, and the test images.

    Raises InputError.
    """
    path = place.own(card)
    arrays = npz_arrays(path)
    keys = [f"{part}_{kind}" for part in ("train", "val", "test") for kind in ("images", "labels")]
    if missing := [key for key in keys if key not in arrays]:
        raise InputError(
            Fault(str(path), f"arrays {', '.join(keys)}", f"no {', '.join(missing)}", "get a 2D MedMNIST file")
        )
    several = {arrays[key].shape[1:] for key in keys if key.endswith("labels")} - {(), (1,)}
    if several:
        fix = "use a data set with one class per image; chestmnist has several"
        raise InputError(Fault(str(path), "one class per image", f"labels of shape {('n', *several.pop())}", fix))
    joint = {
        kind: np.concatenate([arrays[f"{part}_{kind}"] for part in ("train", "val")]) for kind in ("images", "labels")
    }
    return join_parts(
        card, str(path), (joint["images"], joint["labels"]), (arrays["test_images"], arrays["test_labels"]), None
    )
