"""Frozen features: embeddings of an encoder, computed once, on which a run trains a probe.

Features are stored as images of one pixel and d channels, so that scaling channels to the pool standardises each
feature.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from protocol.errors import Fault, InputError
from protocol.spec.data import FeatureCard
from runners.datasets.cards import Card
from runners.datasets.file_search import Place, npz_arrays
from runners.datasets.images import Images, Labels, feature_digest, label_faults, seal


def load(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load an .npz of features (n, d) and labels as float32. Raises InputError.

    Arrays test_features, test_labels, classes and views (of the training images) are optional.
    """
    path = place.own(card)
    arrays = npz_arrays(path)
    parts = [part for part in ("", "test_") if f"{part}features" in arrays or f"{part}labels" in arrays]
    missing = [key for part in {"", *parts} for key in (f"{part}features", f"{part}labels") if key not in arrays]
    if missing:
        raise InputError(
            Fault(
                str(path), f"arrays {' and '.join(sorted(missing))}", f"only {', '.join(sorted(arrays))}", card.origin
            )
        )
    faults = [
        fault
        for part in parts
        for fault in _faults(f"{path}: {part}", arrays[f"{part}features"], arrays[f"{part}labels"])
    ]
    widths = {arrays[f"{part}features"].shape[1:] for part in parts}
    if not faults and len(widths) > 1:
        faults.append(
            Fault(str(path), "as many test features as features", f"{sorted(widths)}", "use one encoder for both")
        )
    if faults:
        raise InputError(faults)
    values = np.concatenate([arrays[f"{part}features"].astype(np.float32) for part in parts])
    labels = np.concatenate([arrays[f"{part}labels"].reshape(-1).astype(np.int64) for part in parts])
    classes = [str(name) for name in arrays["classes"].reshape(-1)] if "classes" in arrays else None
    images, hidden = seal(card, str(path), values[:, None, None, :], labels, len(arrays["features"]), classes)
    if (views := arrays.get("views")) is not None:
        _check_views(f"{path}: views", views, arrays["features"])
        digest = feature_digest(images.pixels, hidden.for_oracle(), images.train_size, views)
        images = replace(images, views=views, digest=digest)
    encoded = _card(str(path), arrays["card"], images.digest) if "card" in arrays else None
    return replace(images, encoded=encoded), hidden


def _check_views(where: str, views: NDArray[Any], features: NDArray[Any]) -> None:
    """Raise InputError unless there are the same number of finite views of every training image."""
    n, d = features.shape
    if views.dtype.kind != "f" or views.ndim != 3 or views.shape[::2] != (n, d) or not views.shape[1]:
        found = f"{views.dtype} of shape {views.shape}"
        raise InputError(
            Fault(where, f"floating-point numbers, shape ({n}, views, {d})", found, "write them with encode --views")
        )
    if not np.isfinite(views).all():
        raise InputError(Fault(where, "finite numbers", "NaN or infinity", "encode again"))


def _card(where: str, text: NDArray[Any], digest: str) -> FeatureCard:
    """Read the card that `encode` wrote.

    Raises:
        InputError: the card is invalid, or belongs to other features, so that a record would name the wrong encoder.
    """
    fix = "encode again, or remove the array 'card' from the file"
    try:
        card = FeatureCard.model_validate_json(str(text))
    except ValidationError as error:
        first = error.errors()[0]
        found = f"{'.'.join(map(str, first['loc'])) or 'text'}: {first['msg']}"
        raise InputError(Fault(f"{where}: card", "the card that `beatrandom encode` writes", found, fix)) from None
    if card.digest != digest:
        raise InputError(
            Fault(f"{where}: card", f"a card of these features and labels, digest {digest[:16]}", card.digest[:16], fix)
        )
    return card


def _faults(where: str, features: NDArray[Any], labels: NDArray[Any]) -> list[Fault]:
    faults = []
    if features.dtype.kind != "f" or features.ndim != 2 or 0 in features.shape:
        found = f"{features.dtype} of shape {features.shape}"
        faults.append(
            Fault(
                f"{where}features",
                "floating-point numbers, shape (n, d), n and d >= 1",
                found,
                "store one row of features per image",
            )
        )
    elif not np.isfinite(features.astype(np.float32)).all():
        faults.append(
            Fault(
                f"{where}features",
                "finite numbers in float32",
                "NaN or infinity",
                "check the encoder on these images",
            )
        )
    return faults + label_faults(f"{where}labels", features, labels)
