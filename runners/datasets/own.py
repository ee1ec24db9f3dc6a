"""The user's own images: one .npz, or a folder a class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from protocol.errors import Fault, InputError
from runners.datasets.base import Images, Labels, finished, joined
from runners.datasets.cards import Card
from runners.datasets.decoding import decoded
from runners.datasets.places import Place, npz_arrays, readable

_ENDINGS: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"})
_GREY: Final = frozenset({"1", "L"})
_DEEP: Final = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_MOST: Final = 8


def load_npz(card: Card, place: Place) -> tuple[Images, Labels]:
    """Arrays images, labels and optionally test_images, test_labels, classes. Raises InputError."""
    path = place.own(card)
    arrays = npz_arrays(path)
    faults = []
    if missing := [key for key in ("images", "labels") if key not in arrays]:
        faults.append(
            Fault(str(path), "arrays images and labels", f"no {' and no '.join(missing)}; there: {', '.join(sorted(arrays))}", card.origin)
        )
    if ("test_images" in arrays) != ("test_labels" in arrays):
        faults.append(Fault(str(path), "test_images and test_labels together", "only one of them", "add the other or remove this one"))
    if faults:
        raise InputError(faults)
    test = (arrays["test_images"], arrays["test_labels"]) if "test_images" in arrays else None
    classes = [str(name) for name in arrays["classes"].reshape(-1)] if "classes" in arrays else None
    return joined(card, str(path), (arrays["images"], arrays["labels"]), test, classes)


def load_folder(card: Card, place: Place) -> tuple[Images, Labels]:
    """`<path>/<class>/*.png`, or the same below `train` and `test` (or `val`). Raises InputError with every unusable file."""
    return from_folder(card, place.own(card), place.size)


def load_eurosat(card: Card, place: Place) -> tuple[Images, Labels]:
    """EuroSAT's colour images, a folder a class. Raises InputError."""
    return from_folder(
        card, place.folder(card, ("eurosat/2750", "EuroSAT/2750", "2750", "EuroSAT_RGB", "eurosat", "EuroSAT"), "AnnualCrop")
    )


def from_folder(card: Card, path: Path, size: tuple[int, int] | None = None) -> tuple[Images, Labels]:
    """What `load_folder` says, of this folder; images are brought to `size` (height, width) if given."""
    parts = [path]
    if _folders(path) in (["test", "train"], ["train", "val"]):
        parts = [path / "train", path / ("test" if (path / "test").is_dir() else "val")]
    classes = _folders(parts[0])
    if strangers := [name for name in _folders(parts[-1]) if name not in classes]:
        raise InputError(Fault(str(parts[-1]), f"the classes of {parts[0]}", f"also {strangers}", "remove or rename them"))
    files = [[(file, k) for k, name in enumerate(classes) for file in pictures(part / name)] for part in parts]
    _refuse_empty(path, parts, classes)
    every = [file for part in files for file, _ in part]
    found, grey = _headers(path, every, any_size=size is not None)
    pixels = decoded(every, size or found, grey)
    labels = np.asarray([k for part in files for _, k in part], np.int64)
    return finished(card, str(path), pixels, labels, len(files[0]), classes)


def _folders(path: Path) -> list[str]:
    if not path.is_dir():
        raise InputError(Fault(str(path), "a folder with one folder a class", "a file", "name the folder, or use data set 'npz'"))
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def pictures(path: Path) -> list[Path]:
    """The folder's image files in the order of their names; none if there is no such folder."""
    if not path.is_dir():
        return []
    return sorted(entry for entry in path.iterdir() if entry.suffix.lower() in _ENDINGS and not entry.name.startswith("."))


def _refuse_empty(path: Path, parts: list[Path], classes: list[str]) -> None:
    if not classes:
        raise InputError(Fault(str(path), "one folder a class", "no folders", "sort the images into one folder a class"))
    if empty := [name for name in classes if not pictures(parts[0] / name)]:
        found = f"none in {', '.join(empty[:_MOST])}"
        raise InputError(
            Fault(str(parts[0]), f"images ({', '.join(sorted(_ENDINGS))}) of every class", found, "add some or remove the folder")
        )


def _headers(path: Path, files: list[Path], *, any_size: bool) -> tuple[tuple[int, int], bool]:
    """Height and width of the images, and whether all are grey. Reads headers only.

    Raises:
        InputError: unreadable or deep images, or differently sized ones unless any size will do.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    modes: Counter[str] = Counter()
    faults: list[Fault] = []
    for file in files:
        try:
            size, mode = readable(file, lambda file=file: _header(file), "an image")  # type: ignore[misc]
        except InputError as error:
            faults += error.faults
            continue
        sizes[size] += 1
        modes[mode] += 1
    if len(sizes) > 1 and not any_size:
        listed = ", ".join(f"{count} of {w}×{h}" for (w, h), count in sizes.most_common(_MOST))
        more = f" and {len(sizes) - _MOST} more sizes" if len(sizes) > _MOST else ""
        faults.append(
            Fault(
                str(path),
                "images of one size (width×height)",
                listed + more,
                "set data.size = [height, width] (encode: --size), or resize them",
            )
        )
    if deep := sorted(_DEEP & set(modes)):
        faults.append(Fault(str(path), "8 bits a channel", f"images of mode {', '.join(deep)}", "convert them to 8 bits"))
    if faults:
        raise InputError(faults[:_MOST])
    width, height = next(iter(sizes))
    return (height, width), set(modes) <= _GREY


def _header(file: Path) -> tuple[tuple[int, int], str]:
    with Image.open(file) as picture:
        return picture.size, picture.mode
