"""Image files to one array: in memory, or on disk and mapped where they are many."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps

from protocol.errors import Fault, InputError
from runners.datasets.places import CACHE_VARIABLE, cache_folder, readable

IN_MEMORY: Final = 2**31
"""Bytes up to which decoded images stay in memory."""
_SUBMITTED: Final = 4096


def decoded(files: Sequence[Path], size: tuple[int, int], grey: bool, in_memory: int = IN_MEMORY) -> NDArray[np.uint8]:
    """Pixels (n, height, width, 1 or 3) of the files in their order, decoded by as many threads as there are processors.

    Args:
        size: height and width; other images are scaled until they cover it, and the middle is kept.
        grey: one channel.
        in_memory: bytes beyond which the array lies in a file of the cache, mapped; kept for the next time,
            and found again by names, sizes and times of change of all files.

    Raises:
        InputError: an unreadable image, or no room in the cache.
    """
    shape = (len(files), *size, 1 if grey else 3)
    if int(np.prod(shape, dtype=np.int64)) <= in_memory:
        pixels = np.empty(shape, np.uint8)
        _fill(pixels, files, grey)
        return pixels
    kept = cache_folder() / f"decoded-{_key(files, shape)}.npy"
    if not kept.exists():
        try:
            _write(kept, shape, files, grey)
        except OSError as error:
            fix = f"make room, or name another folder with {CACHE_VARIABLE}"
            raise InputError(Fault(str(kept), f"room for {np.prod(shape) / 2**30:.1f} GiB", str(error), fix)) from None
    mapped: NDArray[np.uint8] = np.load(kept, mmap_mode="r", allow_pickle=False)
    return mapped


def _fill(pixels: NDArray[np.uint8], files: Sequence[Path], grey: bool) -> None:
    def one(i: int) -> None:
        pixels[i] = readable(files[i], lambda: _read(files[i], (pixels.shape[1], pixels.shape[2]), grey), "an image")

    with ThreadPoolExecutor(os.cpu_count()) as workers:  # decoders release the interpreter's lock
        for start in range(0, len(files), _SUBMITTED):
            list(workers.map(one, range(start, min(start + _SUBMITTED, len(files)))))


def _read(file: Path, size: tuple[int, int], grey: bool) -> NDArray[Any]:
    with Image.open(file) as picture:
        plain = picture.convert("L" if grey else "RGB")
    height, width = size
    if plain.size != (width, height):
        plain = ImageOps.fit(plain, (width, height), Image.Resampling.BILINEAR)
    return np.asarray(plain).reshape(height, width, -1)


def _key(files: Sequence[Path], shape: tuple[int, ...]) -> str:
    facts = [[str(file.resolve()), (found := file.stat()).st_size, found.st_mtime_ns] for file in files]
    return hashlib.sha256(json.dumps([shape, PIL.__version__, facts]).encode()).hexdigest()[:32]


def _write(kept: Path, shape: tuple[int, ...], files: Sequence[Path], grey: bool) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=kept.parent, prefix=f".{kept.name}.")
    os.close(handle)
    try:
        pixels: NDArray[np.uint8] = np.lib.format.open_memmap(name, "w+", np.uint8, shape)
        _fill(pixels, files, grey)
        pixels.flush()  # type: ignore[attr-defined]  # a memmap has it
        Path(name).replace(kept)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
