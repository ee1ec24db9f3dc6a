"""CIFAR-10 as packed JPEG files, decoded once and then memory-mapped from the cache."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from protocol.digests import sha256
from protocol.errors import Fault, InputError
from runners.caching import entry_folder, get_or_make_array
from runners.datasets.cards import Card
from runners.datasets.file_search import Place, npz_arrays, read_or_refuse
from runners.datasets.images import Images, Labels, seal

_FILE: Final = "cifar10_jpeg_full_50k_10k.npz"
_SIDE: Final = 32


def load(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load the decoded images; decoding takes seconds the first time only. Raises InputError."""
    (path,) = place.first(card, ((_FILE,),), ("cifar10_jpeg", "cifar10-jpeg", ""))
    arrays = _arrays(path)
    labels = np.concatenate([arrays["train_label"], arrays["test_label"]]).astype(np.int64)
    train_size = len(arrays["train_label"])
    classes = [str(name) for name in arrays["classes"]]
    shape = (len(labels), _SIDE, _SIDE, 3)
    folder = entry_folder(
        "decoded", {"shape": list(shape), "pillow": PIL.__version__, "packed": sha256(path.read_bytes())}
    )
    pixels = get_or_make_array(
        folder / "pixels.npy",
        f"decoded images of {path.name}",
        shape,
        np.uint8,
        lambda room: _fill(room(shape), arrays, path),
    )
    return seal(card, str(path), pixels, labels, train_size, classes)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    arrays = npz_arrays(path)
    needed = {"header", "classes", *(f"{part}_{key}" for part in ("train", "test") for key in ("jpeg", "len", "label"))}
    if missing := sorted(needed - set(arrays)):
        raise InputError(
            Fault(str(path), f"arrays {', '.join(sorted(needed))}", f"no {', '.join(missing)}", "get the file again")
        )
    for part in ("train", "test"):
        images, labels = len(arrays[f"{part}_len"]), len(arrays[f"{part}_label"])
        if images != labels:
            raise InputError(
                Fault(
                    f"{path}: {part}",
                    "as many labels as images",
                    f"{images} images, {labels} labels",
                    "get the file again",
                )
            )
    return arrays


def _fill(pixels: NDArray[np.uint8], arrays: dict[str, NDArray[Any]], path: Path) -> None:
    start = 0
    for part in ("train", "test"):
        images = _decode(arrays, part, path)
        pixels[start : start + len(images)] = images
        start += len(images)


def _decode(arrays: dict[str, NDArray[Any]], part: str, path: Path) -> NDArray[np.uint8]:
    head, bodies = arrays["header"].tobytes(), arrays[f"{part}_jpeg"].tobytes()
    ends = np.cumsum(arrays[f"{part}_len"], dtype=np.int64)
    if len(ends) and ends[-1] != len(bodies):
        raise InputError(
            Fault(
                f"{path}: {part}_jpeg",
                f"{ends[-1]} bytes, the sum of {part}_len",
                f"{len(bodies)}",
                "get the file again",
            )
        )
    images = np.empty((len(ends), _SIDE, _SIDE, 3), np.uint8)

    def fill() -> None:
        for i, (start, end) in enumerate(zip(np.concatenate([[0], ends[:-1]]), ends, strict=True)):
            picture = Image.open(io.BytesIO(head + bodies[start:end]))
            if picture.size != (_SIDE, _SIDE) or picture.mode != "RGB":
                found = f"image {i}: {picture.size}, {picture.mode}"
                raise InputError(Fault(f"{path}: {part}", "RGB of 32×32", found, "get the file again"))
            images[i] = np.asarray(picture)

    read_or_refuse(path, fill, "JPEG images")
    return images
