"""Arrays in the cache: memory-mapped, and verified against the digest stored next to them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from protocol.digests import canonical_json
from protocol.errors import Fault, InputError
from protocol.record.layout import write_atomically
from runners.caching.cache_folder import CACHE_VARIABLE
from runners.caching.make_once import Damaged, get_or_make, read_if_valid
from runners.machine.memory import MIB, available_mib
from runners.machine.progress_lines import print_notice

WHOLE: Final = 2**30
"""Size in bytes up to which the digest is verified at every opening.

A larger file is verified only if its size or times changed since it was written: reading it twice would be too slow.
"""

Allocate = Callable[[tuple[int, ...]], NDArray[Any]]
Make = Callable[[Allocate], object]
"""Function that allocates one array and writes every element of it. It may be called again from the start."""


def get_or_make_array(
    file: Path, what: str, shape: tuple[int | None, ...], dtype: DTypeLike, make: Make, *, keep: bool = True
) -> NDArray[Any]:
    """Return the array of the file, mapped read-only; one process makes it if it is missing or damaged.

    If the file cannot be written (disk full, no permission), a notice is printed and the array is made in memory.

    Args:
        file: `<entry>/<name>.npy`; the folder must belong to these inputs alone (`entry_folder`).
        what: description for the card and for messages.
        shape: expected shape; None for a size that only `make` knows.
        dtype: expected type.
        make: makes the array; its exceptions are passed on.
        keep: write a missing file. If false, a missing array is made in memory.

    Raises:
        InputError: the array fits neither on disk nor in memory.
    """
    kind = np.dtype(dtype)
    read = partial(_read, shape=shape, dtype=kind)
    if not keep:
        array = read_if_valid(file, read)
        return array if array is not None else _in_memory(what, kind, make, "writing to the cache is turned off")
    try:
        return get_or_make(file, partial(_write, dtype=kind, make=make), read, partial(_put_card, what=what))
    except OSError as error:
        reason = f"{error.strerror or error} ({file.parent})"
    _notify_once(f"{reason}: not cached, so every process makes its own copy; set {CACHE_VARIABLE} to another folder")
    return _in_memory(what, kind, make, reason)


def _in_memory(what: str, dtype: np.dtype[Any], make: Make, reason: str) -> NDArray[Any]:
    made: list[NDArray[Any]] = []

    def allocate(shape: tuple[int, ...]) -> NDArray[Any]:
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if size > available_mib() * MIB:
            fix = f"free space, or set {CACHE_VARIABLE} to another folder"
            raise InputError(Fault(what, f"{size / 2**30:.1f} GiB free, on disk or in memory", reason, fix))
        made.append(np.empty(shape, dtype))
        return made[-1]

    make(allocate)
    made[-1].flags.writeable = False
    return made[-1]


_notices: set[str] = set()


def _notify_once(text: str) -> None:
    if text not in _notices:
        _notices.add(text)
        print_notice(text)


def _write(draft: Path, dtype: np.dtype[Any], make: Make) -> None:
    made: list[Any] = []

    def allocate(shape: tuple[int, ...]) -> NDArray[Any]:
        with draft.open("wb") as file:
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_2_0(file, header)
            file.flush()
            size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            # on a full disk this raises an error; writing to the mapped file would kill the process instead
            os.posix_fallocate(file.fileno(), 0, file.tell() + size)
        made.append(np.load(draft, mmap_mode="r+", allow_pickle=False))
        array: NDArray[Any] = made[-1]
        return array

    make(allocate)
    made[-1].flush()


def _put_card(file: Path, what: str) -> None:
    stat = file.stat()
    card = {"what": what, "made": datetime.now(UTC).isoformat(timespec="seconds"), "sha256": _digest(file)}
    write_atomically(_card(file), canonical_json(card | _state(stat)) + b"\n")


def _state(stat: os.stat_result) -> dict[str, Any]:
    """Return size and times; the times as text, because JSON numbers do not hold nanoseconds exactly."""
    return {"bytes": stat.st_size, "times": f"{stat.st_mtime_ns} {stat.st_ctime_ns}"}


def _read(file: Path, shape: tuple[int | None, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    card, state = _read_card(file), _state(file.stat())
    if card.get("bytes") != state["bytes"]:
        raise Damaged(f"expected {card.get('bytes')} bytes, found {state['bytes']}")
    if state["bytes"] <= WHOLE or card.get("times") != state["times"]:
        digest = _digest(file)
        if card.get("sha256") != digest:
            raise Damaged(f"expected digest {str(card.get('sha256'))[:16]}, found {digest[:16]}")
    try:
        array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise Damaged(str(error)) from None
    if (
        len(array.shape) != len(shape)
        or any(b not in (None, a) for a, b in zip(array.shape, shape, strict=True))
        or array.dtype != dtype
    ):
        raise Damaged(f"expected {dtype} of shape {shape}, found {array.dtype} of shape {array.shape}")
    with contextlib.suppress(OSError):
        os.utime(_card(file))  # marks the time of last use
    return array


def _read_card(file: Path) -> dict[str, Any]:
    try:
        card = json.loads(_card(file).read_bytes())
    except FileNotFoundError:
        raise Damaged("it has no card") from None  # its maker was killed before it wrote the card
    except ValueError as error:
        raise Damaged(f"its card cannot be read: {error}") from None
    return card if isinstance(card, dict) else {}


def _card(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
