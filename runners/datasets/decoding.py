"""Decode image files to one array: in memory, or, if it is large, in a mapped file of the cache."""

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
from runners.caching import entry_folder, get_or_make_array
from runners.datasets.file_search import first_faults, read_or_refuse

IN_MEMORY: Final = 2**24
"""Bytes up to which every process decodes for itself, which takes less than a second."""
_SUBMITTED: Final = 4096
_ROTATED: Final = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


def decode(
    files: Sequence[Path], size: tuple[int, int], grey: bool, in_memory: int = IN_MEMORY, *, upright: bool = False
) -> NDArray[np.uint8]:
    """Decode files to pixels (n, height, width, 1 or 3), with one thread per processor.

    Args:
        size: height and width. Other images are scaled until they cover it, and cropped in the middle.
        grey: whether to decode to one channel.
        in_memory: bytes beyond which one process decodes for all, to a mapped file of the cache. Its key is made of the
            names, sizes and modification times of all files.
        upright: whether to apply the EXIF orientation, as image viewers do. Published data sets are decoded as
            distributed.

    Raises:
        InputError: unreadable images (the first few are named), or no space in the cache or in memory.
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
    return get_or_make_array(
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
    with ThreadPoolExecutor(os.cpu_count()) as workers:  # decoders release the GIL
        for start in range(0, len(files), _SUBMITTED):
            for more in workers.map(one, range(start, min(start + _SUBMITTED, len(files)))):
                faults += more
    if faults:
        raise InputError(first_faults(faults, "images"))


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Return width and height of the upright image, from its header."""
    oriented = "exif" in picture.info and picture.format != "TIFF"  # Pillow returns the upright size of TIFF files
    rotated = oriented and picture.getexif().get(ExifTags.Base.Orientation, 1) in _ROTATED
    return (picture.height, picture.width) if rotated else picture.size


def _read(file: Path, size: tuple[int, int], grey: bool, upright: bool) -> NDArray[Any]:
    with Image.open(file) as picture:
        if upright:
            ImageOps.exif_transpose(picture, in_place=True)
        transparent = picture.mode == "P" and "transparency" in picture.info
        colours = picture.convert("RGBA") if transparent else picture  # the direct conversion makes Pillow warn
        plain = colours.convert("L" if grey else "RGB")
    height, width = size
    if plain.size != (width, height):
        plain = ImageOps.fit(plain, (width, height), Image.Resampling.BILINEAR)
    return np.asarray(plain).reshape(height, width, -1)


def _facts(files: Sequence[Path]) -> list[list[str]]:
    """Return names, sizes and modification times.

    Digests of the content would cost as much as decoding.
    """
    return [[str(file.resolve()), str((stat := file.stat()).st_size), str(stat.st_mtime_ns)] for file in files]
