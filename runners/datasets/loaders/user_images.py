"""Images of the user: one .npz file, or one folder per class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from protocol.errors import Fault, InputError
from runners.datasets.cards import Card
from runners.datasets.decoding import decode, upright_size
from runners.datasets.file_search import Place, first_faults, npz_arrays, read_or_refuse
from runners.datasets.images import Images, Labels, join_parts, seal

_ENDINGS: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"})
_GREY: Final = frozenset({"1", "L"})
_DEEP: Final = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_MOST: Final = 8
_PARTS: Final = frozenset({"train", "val", "valid", "validation", "test"})
_OTHER_KINDS: Final = {"medmnist": "train_images", "features": "features"}
"""Array that identifies another kind of .npz file."""


def load_npz(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load arrays images, labels and optionally test_images, test_labels, classes.

    Raises InputError.
    """
    path = place.own(card)
    arrays = npz_arrays(path)
    faults = []
    if missing := [key for key in ("images", "labels") if key not in arrays]:
        other = next((name for name, key in _OTHER_KINDS.items() if key in arrays), None)
        fix = f'these are for data = {{ name = "{other}", path = … }}' if other else card.origin
        found = f"no {' and no '.join(missing)}; only {', '.join(sorted(arrays))}"
        faults.append(Fault(str(path), "arrays images and labels", found, fix))
    if ("test_images" in arrays) != ("test_labels" in arrays):
        faults.append(
            Fault(
                str(path),
                "test_images and test_labels together",
                f"only {'test_images' if 'test_images' in arrays else 'test_labels'}",
                "add the other array, or remove this one",
            )
        )
    if faults:
        raise InputError(faults)
    test = (arrays["test_images"], arrays["test_labels"]) if "test_images" in arrays else None
    classes = [str(name) for name in arrays["classes"].reshape(-1)] if "classes" in arrays else None
    return join_parts(card, str(path), (arrays["images"], arrays["labels"]), test, classes)


def load_folder(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load `<path>/<class>/*.png`, or the same below `train` and `test` (or `val`).

    The EXIF orientation is applied.

    Raises InputError with every unusable file.
    """
    return from_folder(card, place.own(card), place.size, upright=True)


def load_eurosat(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load EuroSAT's colour images from one folder per class. Raises InputError."""
    return from_folder(
        card,
        place.folder(card, ("eurosat/2750", "EuroSAT/2750", "2750", "EuroSAT_RGB", "eurosat", "EuroSAT"), "AnnualCrop"),
    )


def from_folder(
    card: Card, path: Path, size: tuple[int, int] | None = None, *, upright: bool = False
) -> tuple[Images, Labels]:
    """Load images from one folder per class, as `load_folder`.

    Args:
        size: height and width that images are resized to; `None`: all images must have the same size.
        upright: whether to apply the EXIF orientation.
    """
    parts = [path]
    folders = _folders(path)
    if folders in (["test", "train"], ["train", "val"]):
        parts = [path / "train", path / ("test" if (path / "test").is_dir() else "val")]
    elif "train" in folders and set(folders) <= _PARTS:
        fix = "move the images of the other folders into train, which validation images are drawn from, or elsewhere"
        raise InputError(Fault(str(path), "train and test, or train and val", ", ".join(folders), fix))
    classes = _folders(parts[0])
    if not classes:
        raise InputError(
            Fault(str(path), "one folder per class", "no folders", "sort the images into one folder per class")
        )
    faults = []
    if unknown := [name for name in _folders(parts[-1]) if name not in classes]:
        faults.append(Fault(str(parts[-1]), f"the classes of {parts[0]}", f"also {unknown}", "remove or rename them"))
    files = [[(file, k) for k, name in enumerate(classes) for file in pictures(part / name)] for part in parts]
    every = [file for part in files for file, _ in part]
    faults += _empty(parts[0], classes)
    found, grey, unusable = _headers(path, every, any_size=size is not None, upright=upright)
    if faults or unusable:
        raise InputError([*faults, *unusable])
    pixels = decode(every, size or found, grey, upright=upright)
    labels = np.asarray([k for part in files for _, k in part], np.int64)
    return seal(card, str(path), pixels, labels, len(files[0]), classes)


def _folders(path: Path) -> list[str]:
    if not path.is_dir():
        raise InputError(
            Fault(str(path), "a folder with one folder per class", "a file", "name the folder, or use data set 'npz'")
        )
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def pictures(path: Path) -> list[Path]:
    """Return the folder's image files in the order of their names.

    Empty if there is no such folder.
    """
    if not path.is_dir():
        return []
    return sorted(
        entry for entry in path.iterdir() if entry.suffix.lower() in _ENDINGS and not entry.name.startswith(".")
    )


def _empty(part: Path, classes: list[str]) -> list[Fault]:
    """Return a fault if classes have no images."""
    empty = [name for name in classes if not pictures(part / name)]
    if not empty:
        return []
    found = f"none in {', '.join(empty[:_MOST])}"
    deeper = next(
        (f.parent for name in empty for f in sorted((part / name).rglob("*")) if f.suffix.lower() in _ENDINGS), None
    )
    fix = "add some or remove the folder"
    if deeper is not None:
        found, fix = f"{found}; there are images in {deeper}", "name the folder that contains the class folders"
    return [Fault(str(part), f"images ({', '.join(sorted(_ENDINGS))}) of every class", found, fix)]


def _headers(
    path: Path, files: list[Path], *, any_size: bool, upright: bool
) -> tuple[tuple[int, int], bool, list[Fault]]:
    """Read the headers; return height and width, whether all images are grey, and faults.

    Faults are unreadable images, images with more than 8 bits per channel, and, unless `any_size`, images of several
    sizes.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    modes: Counter[str] = Counter()
    unreadable: list[Fault] = []
    deep: list[Path] = []
    for file in files:
        try:
            size, mode = read_or_refuse(file, lambda file=file: _header(file, upright), "an image")  # type: ignore[misc]
        except InputError as error:
            unreadable += error.faults
            continue
        sizes[size] += 1
        modes[mode] += 1
        deep += [file] if mode in _DEEP else []
    faults = first_faults(unreadable, str(path))
    if len(sizes) > 1 and not any_size:
        listed = ", ".join(f"{count} of {w}×{h}" for (w, h), count in sizes.most_common(_MOST))
        more = f" and {len(sizes) - _MOST} more sizes" if len(sizes) > _MOST else ""
        fix = "set data.size = [height, width] (encode: --size), or resize them"
        faults.append(Fault(str(path), "images of one size (width×height)", listed + more, fix))
    if deep:
        named = ", ".join(str(file.relative_to(path)) for file in deep[:_MOST])
        found = (
            f"{len(deep)} of mode {', '.join(sorted(_DEEP & set(modes)))}: {named}{' …' if len(deep) > _MOST else ''}"
        )
        faults.append(Fault(str(path), "8 bits per channel", found, "convert them to 8 bits"))
    width, height = next(iter(sizes), (0, 0))
    return (height, width), set(modes) <= _GREY, faults


def _header(file: Path, upright: bool) -> tuple[tuple[int, int], str]:
    with Image.open(file) as picture:
        return upright_size(picture) if upright else picture.size, picture.mode
