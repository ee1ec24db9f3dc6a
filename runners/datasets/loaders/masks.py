"""Checks and files of images with one class per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from protocol.errors import Fault, InputError
from protocol.metrics import VOID
from runners.datasets.cards import Card
from runners.datasets.file_search import read_or_refuse
from runners.datasets.images import Images, Labels, content_digest

MOST_CLASSES: Final = 255
"""Class numbers 0 to 254; 255 is void."""
_MOST: Final = 8


def seal_maps(
    card: Card, where: str, pixels: NDArray[np.uint8], maps: NDArray[np.uint8], train_size: int, classes: Sequence[str]
) -> tuple[Images, Labels]:
    """Check images and their maps, and make them read-only. Raises InputError.

    Args:
        pixels: (n, height, width, channels).
        maps: (n, height, width) classes and void.
    """
    faults = []
    if pixels.shape[:3] != maps.shape:
        faults.append(
            Fault(
                where,
                f"masks of shape {pixels.shape[:3]}, like the images",
                str(maps.shape),
                "store one mask per image, of the same size",
            )
        )
    counts = np.bincount(maps.reshape(-1), minlength=VOID + 1)
    if (unknown := np.flatnonzero(counts[len(classes) : VOID])).size:
        found = ", ".join(f"{int(k) + len(classes)} ({counts[k + len(classes)]} pixels)" for k in unknown[:_MOST])
        expected = f"0 to {len(classes) - 1} ({len(classes)} classes), or {VOID} (void)"
        faults.append(Fault(f"{where}: masks", expected, found, "name all classes, or set other pixels to 255"))
    if not 2 <= len(classes) <= MOST_CLASSES:
        faults.append(Fault(f"{where}: classes", f"2 to {MOST_CLASSES}", str(len(classes))))
    if repeated := sorted({name for name in classes if list(classes).count(name) > 1}):
        faults.append(Fault(f"{where}: classes", "different names", f"repeated: {repeated[:5]}", "rename them"))
    present = np.flatnonzero(counts[: len(classes)])
    if len(present) < 2:
        found = "".join(f"class {k}" for k in present) or "no class"
        fix = f"store class numbers from 0; {VOID} means void, so masks of 0 and {VOID} must store {VOID} as 1"
        faults.append(
            Fault(f"{where}: masks", "pixels of two classes or more", f"{found} and {counts[VOID]} pixels of void", fix)
        )
    found_sizes = (train_size, len(pixels) - train_size)
    if card.n_train is not None and found_sizes != (card.n_train, card.n_test):
        fix = f"this is not {card.name}, or incomplete; get it again"
        faults.append(
            Fault(
                where,
                f"{card.n_train} training and {card.n_test} test images",
                f"{found_sizes[0]} and {found_sizes[1]}",
                fix,
            )
        )
    if faults:
        raise InputError(faults)
    pixels.flags.writeable = maps.flags.writeable = False
    digest = content_digest(pixels, maps, train_size)
    return Images(card.name, pixels, train_size, len(pixels) - train_size, tuple(classes), digest), Labels(maps)


def read_pairs(
    pairs: Sequence[tuple[Path, Path]], where: str, cell: int = 1, *, upright: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read images (n, height, width, 3 or 1) and masks (n, height, width), and downscale them.

    Args:
        pairs: files of image and mask.
        cell: side of the squares of pixels that become one pixel: the mean for images, the middle pixel for masks.
        upright: whether to apply the EXIF orientation.

    Raises:
        InputError: unreadable files, or sides that differ or that `cell` does not divide; the first eight faults.
    """
    faults: list[Fault] = []
    images: list[NDArray[np.uint8]] = []
    masks: list[NDArray[np.uint8]] = []
    for picture, mask in pairs:
        try:
            image = read_or_refuse(picture, partial(_decode, picture, upright, colour=True), "an image")
            labels = read_or_refuse(mask, partial(_decode, mask, upright, colour=False), "a mask of class numbers")
        except InputError as error:
            faults += error.faults
            continue
        expected = (
            images[0].shape[0] * cell if images else image.shape[0],
            images[0].shape[1] * cell if images else image.shape[1],
        )
        if image.shape[:2] != labels.shape:
            faults.append(
                Fault(
                    str(mask),
                    f"the image's size, {_size(image)}",
                    _size(labels),
                    "store one class per pixel of the image",
                )
            )
        elif image.shape[:2] != expected:
            faults.append(
                Fault(
                    str(picture),
                    f"{expected[1]}×{expected[0]} (width×height), as the first image",
                    _size(image),
                    "resize them to one size",
                )
            )
        elif expected[0] % cell or expected[1] % cell:
            raise InputError(Fault(where, f"sides that {cell} divides", _size(image), "change data.resolution"))
        else:
            images.append(average_cells(image, cell))
            masks.append(sample_cells(labels, cell))
    if faults:
        raise InputError(faults[:_MOST])
    pixels = np.stack(images)
    if (pixels == pixels[..., :1]).all():
        pixels = np.ascontiguousarray(pixels[..., :1])
    return pixels, np.stack(masks)


def average_cells(image: NDArray[np.uint8], cell: int) -> NDArray[np.uint8]:
    """Replace squares of an image (height, width, channels) by their rounded means."""
    if cell == 1:
        return image
    height, width, channels = image.shape
    squares = image.reshape(height // cell, cell, width // cell, cell, channels)
    means: NDArray[np.uint8] = ((squares.sum((1, 3), dtype=np.uint32) + cell * cell // 2) // (cell * cell)).astype(
        np.uint8
    )
    return means


def sample_cells(maps: NDArray[np.uint8], cell: int) -> NDArray[np.uint8]:
    """Sample maps (…, height, width) at the middle of every square, since classes have no mean."""
    return np.ascontiguousarray(maps[..., cell // 2 :: cell, cell // 2 :: cell])


def cell_for(where: str, height: int, width: int, side: int | None) -> int:
    """Return the side of the squares that become one pixel, for a shorter side of `side`.

    Raises:
        InputError: no square divides both sides accordingly.
    """
    shorter = min(height, width)
    fits = [shorter // c for c in range(1, shorter + 1) if shorter % c == height % c == width % c == 0]
    if side is not None and side not in fits:
        raise InputError(
            Fault(
                "data.resolution",
                f"one of {fits}",
                f"{side}, for {where} of {height}×{width} (height×width)",
                "change it",
            )
        )
    return shorter // side if side else 1


def size_of(file: Path) -> tuple[int, int]:
    """Return height and width of an image file. Raises InputError."""

    def header() -> tuple[int, int]:
        with Image.open(file) as picture:
            return picture.size[1], picture.size[0]

    size: tuple[int, int] = read_or_refuse(file, header, "an image")
    return size


def _decode(file: Path, upright: bool, *, colour: bool) -> NDArray[np.uint8]:
    with Image.open(file) as picture:
        if upright:
            ImageOps.exif_transpose(picture, in_place=True)
        if colour:
            return np.asarray(picture.convert("RGB"))
        if picture.mode not in ("L", "P", "1"):
            found = f"mode {picture.mode}"
            raise InputError(
                Fault(str(file), "one number per pixel (mode L or P)", found, "store class numbers, not colours")
            )
        return np.asarray(picture, np.uint8)  # for palette images the numbers, not the colours


def _size(array: NDArray[Any]) -> str:
    return f"{array.shape[1]}×{array.shape[0]} (width×height)"
