"""The user's own encoders: a function or a class in a Python file, or embeddings made elsewhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from protocol.errors import Fault, InputError
from protocol.spec.data import Encoder
from runners.datasets.file_search import readable
from runners.datasets.files import found
from runners.encoding.scaling import scaled
from runners.guard.user_code import attribute, imported

Embed = Callable[[NDArray[np.uint8]], Any]


def build(encoder: Encoder, root: Path | None) -> Embed:
    """The function that the file names, or an object of the class it names, which is given the file of weights if there is one.

    Raises:
        InputError: no such file or name, or a class that cannot be built.
    """
    where = f"encoder {encoder.name}"
    file = found(str(encoder.own), root, where)
    made: Any = attribute(imported(file.resolve(), where), encoder.name.rpartition(":")[2], where)
    weights = None if encoder.weights_file is None else found(encoder.weights_file, root, f"{where}: weights")
    is_class: bool = inspect.isclass(made)  # told to the type checker as no more than that: a class of any arguments
    if is_class:
        try:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(0)  # of weights that it draws
                made = made() if weights is None else made(weights=weights)
        except Exception as error:  # the user's own code
            expected = f"{made.__name__}({'' if weights is None else 'weights=…'})"
            raise InputError(
                Fault(where, f"a class that can be built, {expected}", f"{type(error).__name__}: {error}")
            ) from error
    elif weights is not None:
        raise InputError(
            Fault(where, "a class that takes weights", "a function", "load them in the file, or make it a class")
        )
    if not callable(made):
        fix = "def encode(images): …, or a class with __call__(self, images)"
        raise InputError(Fault(where, "a function of images", type(made).__name__, fix))
    embed: Embed = made
    side = encoder.size
    return embed if side is None else lambda images: embed(scaled(images, side))


def embeddings(encoder: Encoder, root: Path | None, images: int) -> NDArray[np.float32]:
    """Of all images, from a file of them. Raises InputError."""
    where = f"encoder {encoder.name}"
    path = found(str(encoder.own), root, where)
    values: NDArray[Any] = readable(
        path, lambda: np.load(path, mmap_mode="r", allow_pickle=False), "an array of numbers"
    )
    if values.ndim != 2 or len(values) != images:
        expected = f"shape ({images}, d): training images first, then the official test images"
        raise InputError(Fault(where, expected, str(values.shape), "embed all images of the data set, in its order"))
    return checked(values, images, None, where)


def checked(values: Any, images: int, width: int | None, where: str) -> NDArray[np.float32]:
    """What an encoder made of so many images, as float32 (images, d).

    Raises:
        InputError: another shape, another d than before, or numbers that are none.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().float().cpu().numpy()
    array = np.asarray(values)
    expected = f"({images}, {'d' if width is None else width})"
    if array.ndim != 2 or len(array) != images or not array.shape[1] or (width is not None and array.shape[1] != width):
        raise InputError(
            Fault(where, f"embeddings of shape {expected}", str(array.shape), "one row an image, as long for all")
        )
    if array.dtype.kind not in "fiu":
        raise InputError(Fault(where, "numbers", str(array.dtype), "return float32"))
    with np.errstate(over="ignore"):
        plain = array.astype(np.float32)
    if not np.isfinite(plain).all():
        raise InputError(
            Fault(where, "finite numbers in float32", "NaN or infinity", "look for what it made of these images")
        )
    return plain
