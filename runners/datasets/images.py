"""Images and labels of a data set, kept apart: labels are for the oracle only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.digests import array_digest
from protocol.errors import Fault, InputError
from protocol.spec.data import FeatureCard
from runners.datasets.cards import Card


@dataclass(frozen=True, eq=False)
class Images:
    """All images of a data set, without their labels.

    Attributes:
        name: name of the data set in the registry.
        pixels: (n, height, width, channels) uint8, read-only; training images first, then the official test images.
            Frozen features are (n, 1, 1, d) float32.
        train_size: number of images that may be queried, validated on or held out.
        test_size: number of official test images; 0 if there are none.
        classes: class names in the order of the class numbers.
        digest: SHA-256 of pixels, labels and `train_size` (see `content_digest`).
        source: images that frozen features were computed from, if known; they are not trained on.
        encoded: card of frozen features that were read from a file with a card.
        views: (train_size, k, d) frozen features of k augmented views of every training image, if the file has them.
    """

    name: str
    pixels: NDArray[Any] = field(repr=False)
    train_size: int
    test_size: int
    classes: tuple[str, ...]
    digest: str
    source: NDArray[Any] | None = field(default=None, repr=False)
    encoded: FeatureCard | None = field(default=None, repr=False)
    views: NDArray[Any] | None = field(default=None, repr=False)

    @property
    def n(self) -> int:
        """Return the number of images, training and test."""
        return int(self.pixels.shape[0])

    @property
    def height(self) -> int:
        """Return the height in pixels; 1 for frozen features."""
        return int(self.pixels.shape[1])

    @property
    def width(self) -> int:
        """Return the width in pixels; 1 for frozen features."""
        return int(self.pixels.shape[2])

    @property
    def channels(self) -> int:
        """Return 1 (grey), 3 (red, green, blue), or the number of frozen features."""
        return int(self.pixels.shape[3])


@dataclass(frozen=True, eq=False, repr=False)
class Labels:
    """Labels of all images, kept apart from the images; printing them shows no label."""

    _values: NDArray[np.integer]

    def for_oracle(self) -> NDArray[np.integer]:
        """Return the labels, read-only and in the order of `Images.pixels`.

        They are (n,) int64 class numbers, or (n, height, width) uint8 maps for segmentation. This method is only for
        building the oracle.
        """
        return self._values

    def subsample(self, cell: int) -> Labels:
        """Sample maps at the middle of every square of `cell` pixels.

        Classes of whole images stay unchanged.
        """
        if self._values.ndim == 1:
            return self
        values = np.ascontiguousarray(self._values[:, cell // 2 :: cell, cell // 2 :: cell])
        values.flags.writeable = False
        return Labels(values)

    def __repr__(self) -> str:
        return f"Labels({len(self._values)} hidden)"


def content_digest(pixels: NDArray[Any], labels: NDArray[np.integer], train_size: int) -> str:
    """Compute the SHA-256 of a data set's content, independent of its files."""
    return array_digest(pixels, labels, np.asarray([train_size], np.int64))


def feature_digest(
    pixels: NDArray[Any], labels: NDArray[np.integer], train_size: int, views: NDArray[Any] | None
) -> str:
    """Compute the SHA-256 of features as `content_digest`; with views it covers these too."""
    if views is None:
        return content_digest(pixels, labels, train_size)
    return array_digest(pixels, labels, np.asarray([train_size], np.int64), views)


def join_parts(
    card: Card,
    where: str,
    train: tuple[NDArray[Any], NDArray[Any]],
    test: tuple[NDArray[Any], NDArray[Any]] | None,
    classes: Sequence[str] | None,
) -> tuple[Images, Labels]:
    """Check images and labels of both parts, and append the test images to the training images.

    Args:
        card: card of the data set, whose counts and shape must match.
        where: file or folder, for error messages.
        train: images (n, h, w) or (n, h, w, c) uint8, and integer labels (n,) or (n, 1).
        test: the same for the test images; `None`: there are none.
        classes: class names; `None`: numbers up to the largest label.

    Raises:
        InputError: all faults at once.
    """
    parts = {"training": train} if test is None else {"training": train, "test": test}
    faults = [
        fault for part, (pixels, labels) in parts.items() for fault in _part_faults(f"{where}: {part}", pixels, labels)
    ]
    if not faults and test is not None and _with_channels(train[0]).shape[1:] != _with_channels(test[0]).shape[1:]:
        faults.append(
            Fault(
                where,
                f"test images of the training images' shape {_with_channels(train[0]).shape[1:]}",
                str(test[0].shape[1:]),
                "resize them",
            )
        )
    if faults:
        raise InputError(faults)
    pixels = np.concatenate([_with_channels(images) for images, _ in parts.values()])
    labels = np.concatenate([_flatten(part).astype(np.int64) for _, part in parts.values()])
    return seal(card, where, pixels, labels, len(train[0]), classes)


def seal(
    card: Card,
    where: str,
    pixels: NDArray[Any],
    labels: NDArray[np.int64],
    train_size: int,
    classes: Sequence[str] | None,
) -> tuple[Images, Labels]:
    """Check the joined arrays against the card, and make them read-only. Raises InputError."""
    names = tuple(classes) if classes is not None else tuple(str(k) for k in range(int(labels[:train_size].max()) + 1))
    faults = _card_faults(card, where, pixels, train_size) + _class_faults(where, labels, names)
    if classes is None and (unused := np.setdiff1d(np.arange(len(names)), labels).tolist()):
        fix = "number the classes from 0 without gaps, or name them all in an array classes"
        faults.append(
            Fault(
                f"{where}: labels",
                f"images of every class from 0 to {len(names) - 1}",
                f"none of class {unused[:5]}",
                fix,
            )
        )
    if faults:
        raise InputError(faults)
    labels = labels.astype(np.int64)
    labels.flags.writeable = False
    pixels.flags.writeable = False
    digest = content_digest(pixels, labels, train_size)
    return Images(card.name, pixels, train_size, len(pixels) - train_size, names, digest), Labels(labels)


def _part_faults(where: str, pixels: NDArray[Any], labels: NDArray[Any]) -> list[Fault]:
    faults = []
    if pixels.dtype != np.uint8:
        faults.append(
            Fault(f"{where} images", "uint8, 0 to 255", str(pixels.dtype), "scale to 0..255 and store as uint8")
        )
    if pixels.ndim not in (3, 4) or 0 in pixels.shape or (pixels.ndim == 4 and pixels.shape[-1] not in (1, 3)):
        alpha = pixels.ndim == 4 and pixels.shape[-1] == 4
        fix = (
            "leave out the fourth channel: images[..., :3]"
            if alpha
            else "put the channels last, as 1 (grey) or 3 (colour)"
        )
        faults.append(
            Fault(
                f"{where} images",
                "shape (n, height, width) or (n, height, width, 1 or 3), n >= 1",
                str(pixels.shape),
                fix,
            )
        )
    return faults + label_faults(where, pixels, labels)


def label_faults(where: str, images: NDArray[Any], labels: NDArray[Any]) -> list[Fault]:
    """Return the faults of labels (n,) for images or features (n, …)."""
    faults = []
    if not np.issubdtype(labels.dtype, np.integer):
        faults.append(Fault(f"{where} labels", "integers from 0", str(labels.dtype), "store class numbers as integers"))
    if labels.ndim != 1 and labels.shape[1:] != (1,):
        faults.append(
            Fault(f"{where} labels", "shape (n,), one class per image", str(labels.shape), "store one number per image")
        )
    elif images.ndim and len(images) != len(labels):
        faults.append(
            Fault(
                where,
                "as many labels as images",
                f"{len(images)} images, {len(labels)} labels",
                "the file is incomplete",
            )
        )
    return faults


def _card_faults(card: Card, where: str, pixels: NDArray[Any], train_size: int) -> list[Fault]:
    faults = []
    fix = f"this is not {card.name}, or incomplete; get it again, or use data set 'npz'"
    if card.shape is not None and pixels.shape[1:] != card.shape:
        faults.append(Fault(where, f"images of shape {card.shape}", str(pixels.shape[1:]), fix))
    sizes = (train_size, len(pixels) - train_size)
    if card.n_train is not None and sizes != (card.n_train, card.n_test):
        faults.append(
            Fault(where, f"{card.n_train} training and {card.n_test} test images", f"{sizes[0]} and {sizes[1]}", fix)
        )
    return faults


def _class_faults(where: str, labels: NDArray[np.int64], names: tuple[str, ...]) -> list[Fault]:
    faults = []
    if outside := sorted({int(k) for k in np.unique(labels) if not 0 <= k < len(names)}):
        faults.append(
            Fault(
                f"{where}: labels",
                f"0 to {len(names) - 1} ({len(names)} classes)",
                f"{outside[:5]}",
                "number the classes from 0",
            )
        )
    if len(names) < 2:
        faults.append(Fault(f"{where}: classes", "at least 2", str(len(names)), "add images of another class"))
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        faults.append(Fault(f"{where}: classes", "different names", f"repeated: {repeated[:5]}", "rename them"))
    return faults


def _with_channels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels[..., None] if pixels.ndim == 3 else pixels


def _flatten(labels: NDArray[Any]) -> NDArray[Any]:
    return labels.reshape(len(labels))
