"""MNIST's original IDX files, plain or gzipped."""

from __future__ import annotations

import gzip
import itertools
import math
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import Fault, InputError
from runners.datasets.cards import Card
from runners.datasets.file_search import Place, read_or_refuse
from runners.datasets.images import Images, Labels, join_parts

_UNSIGNED_BYTE: Final = 8
_FOLDERS: Final = {
    "fashion-mnist": ("fashion_mnist", "fashion-mnist", "FashionMNIST/raw", "FashionMNIST", ""),
    "mnist": ("mnist", "MNIST/raw", "MNIST", ""),
}
_PARTS: Final = ("train-images", "train-labels", "t10k-images", "t10k-labels")


def load(card: Card, place: Place) -> tuple[Images, Labels]:
    """Load training and test images of an MNIST-like data set. Raises InputError."""
    kinds = ("idx3", "idx1", "idx3", "idx1")
    layouts = [
        tuple(f"{part}{joint}{kind}-ubyte{end}" for part, kind in zip(_PARTS, kinds, strict=True))
        for joint, end in itertools.product("-.", (".gz", ""))
    ]
    paths = place.first(card, layouts, _FOLDERS.get(card.name, ("",)))
    train_images, train_labels, test_images, test_labels = [
        read_idx(path, dims) for path, dims in zip(paths, (3, 1, 3, 1), strict=True)
    ]
    return join_parts(
        card, str(paths[0].parent), (train_images, train_labels), (test_images, test_labels), card.classes
    )


def read_idx(path: Path, dims: int) -> NDArray[np.uint8]:
    """Read the array of an IDX file of unsigned bytes with `dims` dimensions. Raises InputError."""

    def read() -> NDArray[np.uint8]:
        with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else raw as file:
            return _parse(file, path, dims)

    array: NDArray[np.uint8] = read_or_refuse(path, read, "an IDX file")
    return array


def _parse(file: IO[bytes] | gzip.GzipFile, path: Path, dims: int) -> NDArray[np.uint8]:
    head = file.read(4 + 4 * dims)
    if len(head) < 4 + 4 * dims or head[:4] != bytes((0, 0, _UNSIGNED_BYTE, dims)):
        raise InputError(
            Fault(
                str(path),
                f"an IDX header of unsigned bytes in {dims} dimensions: {bytes((0, 0, _UNSIGNED_BYTE, dims)).hex()}",
                head[:4].hex() or "an empty file",
                "get the file again",
            )
        )
    shape = tuple(int(size) for size in np.frombuffer(head, ">u4", dims, 4))
    body = file.read()
    if len(body) != math.prod(shape):
        raise InputError(
            Fault(str(path), f"{math.prod(shape)} bytes for shape {shape}", f"{len(body)} bytes", "get the file again")
        )
    return np.frombuffer(body, np.uint8).reshape(shape)
