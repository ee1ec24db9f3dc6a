"""Image files to one array: in memory, or in the cache and mapped where they are many."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from protocol.errors import Fault, InputError
from runners.caching import entry_folder, kept_array
from runners.datasets.file_search import first_faults, read_or_refuse

IN_MEMORY: Final = 2**24
"""Bytes up to which every process decodes for itself, which takes it less than a second."""
_SUBMITTED: Final = 4096
_LYING: Final = (5, 6, 7, 8)
"""EXIF orientations in which width and height change places."""


def decode(
    files: Sequence[Path], size: tuple[int, int], grey: bool, in_memory: int = IN_MEMORY, *, upright: bool = False
) -> NDArray[np.uint8]:
    """Pixels (n, height, width, 1 or 3) of the files in their order, decoded by as many threads as there are processors.

    Args:
        size: height and width; other images are scaled until they cover it, and the middle is kept.
        grey: one channel.
        in_memory: bytes beyond which the array lies in a file of the cache, mapped, decoded by one process for all; found again
            by names, sizes and times of change of all files.
        upright: turned as a camera's EXIF says, as every viewer shows them; published data sets are taken as they were distributed.

    Raises:
        InputError: unreadable images, the first few of them, or room neither in the cache nor in memory.
    """
    shape = (len(files), *size, 1 if grey else 3)
    if int(np.prod(shape, dtype=np.int64)) <= in_memory:
        pixels = np.empty(shape, np.uint8)
        _fill(pixels, files, grey, upright)
        return pixels
    turned = {"upright": True} if upright else {}
    folder = entry_folder(
        "decoded", {"shape": list(shape), "pillow": PIL.__version__, "files": _facts(files), **turned}
    )
    what = f"{len(files):,} decoded images, {size[1]}×{size[0]} (width×height)"
    return kept_array(
        folder / "pixels.npy", what, shape, np.uint8, lambda room: _fill(room(shape), files, grey, upright)
    )


def _fill(pixels: NDArray[np.uint8], files: Sequence[Path], grey: bool, upright: bool) -> None:
    size = (pixels.shape[1], pixels.shape[2])

    def one(i: int) -> tuple[Fault, ...]:
        try:
            pixels[i] = read_or_refuse(files[i], lambda: _read(files[i], size, grey, upright), "an image")
        except InputError as error:
            return error.faults
        return ()

    faults: list[Fault] = []
    with ThreadPoolExecutor(os.cpu_count()) as workers:  # decoders release the interpreter's lock
        for start in range(0, len(files), _SUBMITTED):
            for found in workers.map(one, range(start, min(start + _SUBMITTED, len(files)))):
                faults += found
    if faults:
        raise InputError(first_faults(faults, "images"))


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height once it is upright, from the header alone."""
    known = "exif" in picture.info and picture.format != "TIFF"  # whose size Pillow gives upright
    lying = known and picture.getexif().get(ExifTags.Base.Orientation, 1) in _LYING
    return (picture.height, picture.width) if lying else picture.size


def _read(file: Path, size: tuple[int, int], grey: bool, upright: bool) -> NDArray[Any]:
    with Image.open(file) as picture:
        if upright:
            ImageOps.exif_transpose(picture, in_place=True)
        see_through = picture.mode == "P" and "transparency" in picture.info
        colours = (
            picture.convert("RGBA") if see_through else picture
        )  # the same colours; Pillow warns of the direct way
        plain = colours.convert("L" if grey else "RGB")
    height, width = size
    if plain.size != (width, height):
        plain = ImageOps.fit(plain, (width, height), Image.Resampling.BILINEAR)
    return np.asarray(plain).reshape(height, width, -1)


def _facts(files: Sequence[Path]) -> list[list[str]]:
    """Names, sizes and times of change: reading all content again would cost what decoding does."""
    return [[str(file.resolve()), str((found := file.stat()).st_size), str(found.st_mtime_ns)] for file in files]
