"""Messages between a run and the process of its strategy.

The run sends pickles, which the strategy's process may trust; arrays travel in sealed memory that both map. The
strategy's process answers with JSON and plain arrays of bounded size, because the run may trust nothing that it says.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import pickle
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import Fault
from protocol.strict_json import loads
from runners.guard.errors import StrategyError

_TO_CHILD: Final = struct.Struct("<QQ")
"""Bytes of the pickle, bytes of the shared memory."""
_TO_RUN: Final = struct.Struct("<I")
"""Bytes of the JSON text."""
LARGEST_TEXT: Final = 2**20
"""Largest JSON text of an answer, in bytes."""
_MOST_ARRAYS: Final = 64
_DIMENSIONS: Final = 8
_ALIGNED: Final = 64
DTYPES: Final = frozenset(
    np.dtype(name).str
    for name in [
        "bool",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "uint32",
        "int32",
        "uint64",
        "int64",
        "float16",
        "float32",
        "float64",
    ]
)
"""Kinds of numbers that an answer may hold."""
_SEALS: Final = (
    getattr(fcntl, "F_SEAL_SHRINK", 2) | getattr(fcntl, "F_SEAL_GROW", 4) | getattr(fcntl, "F_SEAL_WRITE", 8)
)


class ChannelClosed(Exception):
    """The other process ended, or does not answer in time."""


@dataclass(frozen=True)
class Answer:
    """What the strategy's process said: checked JSON, and arrays by name."""

    head: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def send_to_child(channel: socket.socket, message: Mapping[str, Any]) -> None:
    """Send a message to the strategy's process; arrays in it are not copied into the pickle.

    Raises:
        ChannelClosed: the process ended.
    """
    buffers: list[pickle.PickleBuffer] = []
    packed = pickle.dumps(dict(message), protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    places, size = _places(views)
    text = pickle.dumps((packed, places), protocol=5)
    shared = _sealed(views, places, size) if size else None
    try:
        head = _TO_CHILD.pack(len(text), size)
        if shared is None:
            channel.sendall(head)
        else:
            socket.send_fds(channel, [head], [shared])
        channel.sendall(text)
    except (OSError, TimeoutError) as error:
        raise ChannelClosed(str(error)) from None
    finally:
        if shared is not None:
            os.close(shared)


def _places(views: list[memoryview]) -> tuple[list[tuple[int, int]], int]:
    places, end = [], 0
    for view in views:
        places.append((end, view.nbytes))
        end += -(-view.nbytes // _ALIGNED) * _ALIGNED
    return places, end


def _sealed(views: list[memoryview], places: list[tuple[int, int]], size: int) -> int:
    """Return a descriptor of memory that holds the buffers and that nobody can change any more (Linux)."""
    if sys.platform == "linux":  # written once; the reader maps the same pages
        memory = os.memfd_create("view", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        memory, name = tempfile.mkstemp()
        os.unlink(name)  # noqa: PTH108
    os.ftruncate(memory, size)
    for view, (start, length) in zip(views, places, strict=True):
        done = 0
        while done < length:
            done += os.pwrite(memory, view[done : done + 2**30], start + done)
    if sys.platform == "linux":
        fcntl.fcntl(memory, getattr(fcntl, "F_ADD_SEALS", 1033), _SEALS)
    return memory


def receive_from_run(channel: socket.socket) -> dict[str, Any]:
    """Receive a message of the run, in the strategy's process.

    Arrays are private copies, made only where they are written to.

    Raises:
        EOFError: the run closed the channel.
    """
    head, descriptors, _, _ = socket.recv_fds(channel, _TO_CHILD.size, 1)
    while len(head) < _TO_CHILD.size:
        more = channel.recv(_TO_CHILD.size - len(head))
        if not more:
            raise EOFError
        head += more
    length, size = _TO_CHILD.unpack(head)
    packed, places = pickle.loads(_exactly(channel, length))
    buffers: list[memoryview] = []
    if size:
        memory = mmap.mmap(descriptors[0], size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        os.close(descriptors[0])
        whole = memoryview(memory)
        buffers = [whole[start : start + length] for start, length in places]
    message: dict[str, Any] = pickle.loads(packed, buffers=buffers)
    return message


def send_to_run(
    channel: socket.socket, head: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None
) -> None:
    """Send an answer of the strategy's process.

    Args:
        channel: connection to the run.
        head: JSON values.
        arrays: arrays of numbers by name.
    """
    given = {name: np.asarray(array, order="C") for name, array in (arrays or {}).items()}
    described = [{"name": name, "dtype": a.dtype.str, "shape": list(a.shape)} for name, a in given.items()]
    text = json.dumps({**head, "arrays": described}).encode()
    channel.sendall(_TO_RUN.pack(len(text)) + text)
    for array in given.values():
        channel.sendall(array.reshape(-1).view(np.uint8).data)


def receive_from_child(channel: socket.socket, most_bytes: int, seconds: float) -> Answer:
    """Receive an answer of the strategy's process, which may send anything.

    Args:
        channel: connection to the process.
        most_bytes: largest size of all arrays together.
        seconds: longest time to wait for the whole answer.

    Raises:
        ChannelClosed: the process ended, or time is up.
        StrategyError: the answer is not well-formed, or too large.
    """
    until = time.monotonic() + seconds
    [length] = _TO_RUN.unpack(_exactly(channel, _TO_RUN.size, until))
    if length > LARGEST_TEXT:
        raise _malformed(f"a text of at most {LARGEST_TEXT} bytes", f"{length} bytes")
    try:
        head = loads(_exactly(channel, length, until))
    except (ValueError, RecursionError) as error:
        raise _malformed("JSON", str(error)[:200]) from None
    if not isinstance(head, dict):
        raise _malformed("a JSON object", type(head).__name__)
    arrays: dict[str, NDArray[Any]] = {}
    for name, dtype, shape in _described(head.pop("arrays", None), most_bytes):
        raw = _exactly(channel, int(np.prod(shape, dtype=object)) * dtype.itemsize, until)
        if dtype.kind == "b":  # any other byte would be no truth value
            raw = np.frombuffer(raw, np.uint8).astype(bool).tobytes()
        arrays[name] = np.frombuffer(bytearray(raw), dtype).reshape(shape)
    return Answer(head, arrays)


def _described(described: object, most_bytes: int) -> list[tuple[str, np.dtype[Any], tuple[int, ...]]]:
    """Return name, kind and shape of the announced arrays, after checking them."""
    if not isinstance(described, list) or len(described) > _MOST_ARRAYS:
        raise _malformed(f"a list of at most {_MOST_ARRAYS} arrays", repr(described)[:200])
    found: list[tuple[str, np.dtype[Any], tuple[int, ...]]] = []
    total = 0
    for one in described:
        if not isinstance(one, dict) or set(one) != {"name", "dtype", "shape"}:
            raise _malformed("name, dtype and shape of an array", repr(one)[:200])
        name, kind, shape = one["name"], one["dtype"], one["shape"]
        if not isinstance(name, str) or len(name) > 100 or name in {n for n, _, _ in found}:
            raise _malformed("a short name, once", repr(name)[:200])
        if kind not in DTYPES:
            raise _malformed("numbers", repr(kind)[:200])
        if not (
            isinstance(shape, list) and len(shape) <= _DIMENSIONS and all(type(s) is int and s >= 0 for s in shape)
        ):
            raise _malformed(f"a shape of at most {_DIMENSIONS} sizes", repr(shape)[:200])
        total += int(np.prod(shape, dtype=object)) * np.dtype(kind).itemsize
        if total > most_bytes:
            raise _malformed(f"arrays of at most {most_bytes} bytes", f"at least {total}")
        found.append((name, np.dtype(kind), tuple(shape)))
    return found


def _malformed(expected: str, found: str) -> StrategyError:
    return StrategyError(Fault("answer of the strategy's process", expected, found, "leave the channel alone"))


def _exactly(channel: socket.socket, size: int, until: float | None = None) -> bytes:
    """Read so many bytes. Raises EOFError or, with a deadline, ChannelClosed."""
    parts = bytearray()
    while len(parts) < size:
        try:
            if until is not None:
                channel.settimeout(max(0.001, until - time.monotonic()))
            more = channel.recv(min(size - len(parts), 2**24))
        except OSError as error:  # a timeout is one
            raise ChannelClosed(_why(error)) from None
        finally:
            if until is not None:
                with contextlib.suppress(OSError):
                    channel.settimeout(None)
        if not more:
            if until is None:
                raise EOFError
            raise ChannelClosed("")
        parts += more
    return bytes(parts)


def _why(error: OSError) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error)
