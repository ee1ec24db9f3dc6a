"""Encoders of the user: a function or class in a Python file, or a file of embeddings."""

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
from runners.datasets.file_search import read_or_refuse
from runners.datasets.files import find_file
from runners.encoding.networks import resize_and_crop
from runners.guard.user_code import Source, get_attribute, import_user_code

Embed = Callable[[NDArray[np.uint8]], Any]


def build(encoder: Encoder, root: Path | None) -> Embed:
    """Return the user's function, or an object of the user's class.

    A class is called with `weights=`, the path of the file of weights, if the encoder has one.

    Raises:
        InputError: no such file or name, or the class cannot be instantiated.
    """
    where = f"encoder {encoder.name}"
    file = find_file(str(encoder.own), root, where)
    made: Any = get_attribute(
        import_user_code(Source.read(file.resolve()), where), encoder.name.rpartition(":")[2], where
    )
    weights = None if encoder.weights_file is None else find_file(encoder.weights_file, root, f"{where}: weights")
    is_class: bool = inspect.isclass(
        made
    )  # declared as bool, so that mypy does not narrow `made` to a class without arguments
    if is_class:
        try:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(0)  # for weights that it draws
                made = made() if weights is None else made(weights=weights)
        except Exception as error:  # the user's own code
            expected = f"{made.__name__}({'' if weights is None else 'weights=…'})"
            raise InputError(
                Fault(where, f"a class that can be instantiated by {expected}", f"{type(error).__name__}: {error}")
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
    return embed if side is None else lambda images: embed(resize_images(images, side))


def embeddings(encoder: Encoder, root: Path | None, images: int) -> NDArray[np.float32]:
    """Read embeddings (n, d) of all images from a .npy file. Raises InputError."""
    where = f"encoder {encoder.name}"
    path = find_file(str(encoder.own), root, where)
    values: NDArray[Any] = read_or_refuse(
        path, lambda: np.load(path, mmap_mode="r", allow_pickle=False), "an array of numbers"
    )
    if values.ndim != 2 or len(values) != images:
        expected = f"shape ({images}, d): training images first, then the official test images"
        raise InputError(Fault(where, expected, str(values.shape), "embed all images of the data set, in its order"))
    return check_embeddings(values, images, None, where)


def resize_images(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Resize and crop uint8 images (b, height, width, channels) to `side`."""
    x = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255
    x = (resize_and_crop(x, side) * 255).round().to(torch.uint8)
    resized: NDArray[np.uint8] = x.permute(0, 2, 3, 1).contiguous().numpy()
    return resized


def check_embeddings(values: Any, images: int, width: int | None, where: str) -> NDArray[np.float32]:
    """Check the output of an encoder, and convert it to float32 (images, d).

    Args:
        images: number of images that were encoded.
        width: d of earlier batches; `None` for the first batch.

    Raises:
        InputError: another shape, another d than before, or values that are not finite numbers.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().float().cpu().numpy()
    array = np.asarray(values)
    expected = f"({images}, {'d' if width is None else width})"
    if array.ndim != 2 or len(array) != images or not array.shape[1] or (width is not None and array.shape[1] != width):
        raise InputError(
            Fault(
                where,
                f"embeddings of shape {expected}",
                str(array.shape),
                "return one row per image, all of one length",
            )
        )
    if array.dtype.kind not in "fiu":
        raise InputError(Fault(where, "numbers", str(array.dtype), "return float32"))
    with np.errstate(over="ignore"):
        plain = array.astype(np.float32)
    if not np.isfinite(plain).all():
        raise InputError(
            Fault(where, "finite numbers in float32", "NaN or infinity", "check the encoder on these images")
        )
    return plain
