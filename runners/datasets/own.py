"""The user's own images: one .npz, or a folder a class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from protocol.errors import Fault, InputError
from runners.datasets.base import Images, Labels, joined
from runners.datasets.cards import Card
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
    return from_folder(card, place.own(card))


def load_eurosat(card: Card, place: Place) -> tuple[Images, Labels]:
    """EuroSAT's colour images, a folder a class. Raises InputError."""
    return from_folder(
        card, place.folder(card, ("eurosat/2750", "EuroSAT/2750", "2750", "EuroSAT_RGB", "eurosat", "EuroSAT"), "AnnualCrop")
    )


def from_folder(card: Card, path: Path) -> tuple[Images, Labels]:
    """What `load_folder` says, of this folder."""
    parts = [path]
    if _folders(path) in (["test", "train"], ["train", "val"]):
        parts = [path / "train", path / ("test" if (path / "test").is_dir() else "val")]
    classes = _folders(parts[0])
    if strangers := [name for name in _folders(parts[-1]) if name not in classes]:
        raise InputError(Fault(str(parts[-1]), f"the classes of {parts[0]}", f"also {strangers}", "remove or rename them"))
    files = [[(file, k) for k, name in enumerate(classes) for file in pictures(part / name)] for part in parts]
    _refuse_empty(path, parts, classes)
    grey = _refuse_mixed(path, [file for part in files for file, _ in part])
    arrays = [decoded(part, grey) for part in files]
    return joined(card, str(path), arrays[0], arrays[1] if len(arrays) == 2 else None, classes)


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


def _refuse_mixed(path: Path, files: list[Path]) -> bool:
    """Whether all images are grey. Reads headers only; raises InputError for unreadable, deep or differently sized ones."""
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
    if len(sizes) > 1:
        listed = ", ".join(f"{count} of {w}×{h}" for (w, h), count in sizes.most_common(_MOST))
        more = f" and {len(sizes) - _MOST} more sizes" if len(sizes) > _MOST else ""
        faults.append(Fault(str(path), "images of one size (width×height)", listed + more, "resize them to one size"))
    if deep := sorted(_DEEP & set(modes)):
        faults.append(Fault(str(path), "8 bits a channel", f"images of mode {', '.join(deep)}", "convert them to 8 bits"))
    if faults:
        raise InputError(faults[:_MOST])
    return set(modes) <= _GREY


def _header(file: Path) -> tuple[tuple[int, int], str]:
    with Image.open(file) as picture:
        return picture.size, picture.mode


def decoded(files: list[tuple[Path, int]], grey: bool) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Images (n, height, width[, 3]) and class numbers (n,) of files of one size. Raises InputError for an unreadable one."""

    def pixels(file: Path) -> NDArray[np.uint8]:
        with Image.open(file) as picture:
            return np.asarray(picture.convert("L" if grey else "RGB"))

    images = [readable(file, lambda file=file: pixels(file), "an image") for file, _ in files]  # type: ignore[misc]
    return np.stack(images) if images else np.empty((0, 1, 1), np.uint8), np.asarray([k for _, k in files], np.int64)
