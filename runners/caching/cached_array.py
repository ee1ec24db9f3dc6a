"""Arrays in the cache: mapped, and held to the digest that was written beside them."""

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
from runners.caching.make_once import Damaged, once, tell, there
from runners.machine.memory import MIB, available_mib

WHOLE: Final = 2**30
"""Bytes up to which the digest is computed at every opening. Larger files are held to it only where size or times of the file are
no longer those it was written with: reading them twice would cost more than it shows."""

Allocate = Callable[[tuple[int, ...]], NDArray[Any]]
Make = Callable[[Allocate], object]
"""Asks once for an array of some shape and writes every element of it; may be called again from the start."""


def kept_array(
    file: Path, what: str, shape: tuple[int | None, ...], dtype: DTypeLike, make: Make, *, keep: bool = True
) -> NDArray[Any]:
    """The array of that file, mapped read-only; made by `make` where it is missing or damaged, by one process for all.

    Where nothing can be written (no room, no right), it says so on standard error and the array is made in memory.

    Args:
        file: `<entry>/<name>.npy`; the folder must belong to these inputs alone (`entry_folder`).
        what: what it is, for the card and for messages.
        shape: as it must be; None where only its maker knows.
        keep: whether what is missing is written.

    Raises:
        InputError: nothing can be written, and memory does not hold it either; or whatever `make` raises.
    """
    kind = np.dtype(dtype)
    read = partial(_read, shape=shape, dtype=kind)
    if not keep:
        found = there(file, read)
        return found if found is not None else _in_memory(what, kind, make, "nothing is to be kept")
    try:
        return once(file, partial(_write, dtype=kind, make=make), read, partial(_put_card, what=what))
    except OSError as error:
        reason = f"{error.strerror or error} ({file.parent})"
    _tell_once(
        f"{reason}: nothing is kept there, and every process makes its own; {CACHE_VARIABLE} names another folder"
    )
    return _in_memory(what, kind, make, reason)


def _in_memory(what: str, dtype: np.dtype[Any], make: Make, reason: str) -> NDArray[Any]:
    made: list[NDArray[Any]] = []

    def allocate(shape: tuple[int, ...]) -> NDArray[Any]:
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if size > available_mib() * MIB:
            fix = f"make room, or name another folder with {CACHE_VARIABLE}"
            raise InputError(Fault(what, f"room for {size / 2**30:.1f} GiB, on disk or in memory", reason, fix))
        made.append(np.empty(shape, dtype))
        return made[-1]

    make(allocate)
    made[-1].flags.writeable = False
    return made[-1]


_told: set[str] = set()


def _tell_once(text: str) -> None:
    if text not in _told:
        _told.add(text)
        tell(text)


def _write(draft: Path, dtype: np.dtype[Any], make: Make) -> None:
    made: list[Any] = []

    def allocate(shape: tuple[int, ...]) -> NDArray[Any]:
        with draft.open("wb") as file:
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_2_0(file, header)
            file.flush()
            size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            os.posix_fallocate(
                file.fileno(), 0, file.tell() + size
            )  # a full disk is an error here, and not a signal while it is filled
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
    """As text, since nanoseconds are beyond what JSON keeps exactly."""
    return {"bytes": stat.st_size, "times": f"{stat.st_mtime_ns} {stat.st_ctime_ns}"}


def _read(file: Path, shape: tuple[int | None, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    card, state = _read_card(file), _state(file.stat())
    if card.get("bytes") != state["bytes"]:
        raise Damaged(f"expected {card.get('bytes')} bytes, found {state['bytes']}")
    if (state["bytes"] <= WHOLE or card.get("times") != state["times"]) and card.get("sha256") != (
        found := _digest(file)
    ):
        raise Damaged(f"expected digest {str(card.get('sha256'))[:16]}, found {found[:16]}")
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
        os.utime(_card(file))  # when it was last used
    return array


def _read_card(file: Path) -> dict[str, Any]:
    try:
        card = json.loads(_card(file).read_bytes())
    except FileNotFoundError:
        raise Damaged("it has no card") from None  # its maker was killed before it was finished
    except ValueError as error:
        raise Damaged(f"its card cannot be read: {error}") from None
    return card if isinstance(card, dict) else {}


def _card(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
