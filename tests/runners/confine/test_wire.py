"""The channel between a run and its strategy: what arrives is what was sent, and nonsense is refused."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from runners.confine.wire import (
    DTYPES,
    LARGEST_TEXT,
    Answer,
    ChannelClosed,
    receive_from_child,
    receive_from_run,
    send_to_child,
    send_to_run,
)
from runners.guard.errors import StrategyError


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_arrays_arrive_and_changing_them_changes_nothing_else(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    sent = {
        "a": np.arange(70_000, dtype=np.float32),
        "b": {"c": np.eye(3, dtype=bool)},
        "n": 7,
        "empty": np.empty((0, 4)),
    }
    sender = threading.Thread(target=send_to_child, args=(ours, sent))
    sender.start()
    got = receive_from_run(theirs)
    sender.join()
    assert got["n"] == 7
    assert got["empty"].shape == (0, 4)
    np.testing.assert_array_equal(got["a"], sent["a"])
    np.testing.assert_array_equal(got["b"]["c"], np.eye(3, dtype=bool))
    got["a"][:] = 0
    assert np.asarray(sent["a"])[5] == 5


def answered(pair: tuple[socket.socket, socket.socket], most: int = 2**20, **arrays: Any) -> Answer:
    ours, theirs = pair
    sender = threading.Thread(target=send_to_run, args=(theirs, {"x": 1}, arrays))
    sender.start()
    try:
        return receive_from_child(ours, most, 5)
    finally:
        ours.close()
        sender.join()


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_answers_keep_kind_and_shape(dtype: str, pair: tuple[socket.socket, socket.socket]) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    got = answered(pair, a=array, scalar=np.asarray(3, dtype))
    assert got.head == {"x": 1}
    assert got.arrays["a"].dtype == array.dtype
    np.testing.assert_array_equal(got.arrays["a"], array)
    assert got.arrays["scalar"].shape == ()


def one(**changes: object) -> dict[str, Any]:
    return {"name": "a", "dtype": "<i8", "shape": [2]} | changes


NONSENSE: dict[str, bytes] = {
    "no JSON": b"{",
    "not UTF-8": b"\xff\xfe",
    "no object": b"[1]",
    "a key twice": b'{"a": 1, "a": 2}',
    "deep": b"[" * 100_000,
    "no arrays": b"{}",
    "arrays of text": json.dumps({"arrays": "a"}).encode(),
    "objects": json.dumps({"arrays": [one(dtype="|O")]}).encode(),
    "strings": json.dumps({"arrays": [one(dtype="<U9")]}).encode(),
    "a negative size": json.dumps({"arrays": [one(shape=[-1])]}).encode(),
    "a size that is no number": json.dumps({"arrays": [one(shape=["2"])]}).encode(),
    "a size that is a truth value": json.dumps({"arrays": [one(shape=[True])]}).encode(),
    "too many sizes": json.dumps({"arrays": [one(shape=[1] * 9)]}).encode(),
    "too large": json.dumps({"arrays": [one(shape=[2**40])]}).encode(),
    "larger than any number": json.dumps({"arrays": [one(shape=[2**62, 2**62])]}).encode(),
    "the same name twice": json.dumps({"arrays": [one(shape=[0]), one(shape=[0])]}).encode(),
    "too many": json.dumps({"arrays": [one(name=str(k), shape=[0]) for k in range(65)]}).encode(),
    "an unknown key": json.dumps({"arrays": [one(more=1)]}).encode(),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused(name: str, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(struct.pack("<I", len(NONSENSE[name])) + NONSENSE[name])
    theirs.close()
    with pytest.raises(StrategyError, match="answer of the strategy's process"):
        receive_from_child(ours, 2**20, 5)


def test_a_text_that_is_too_long_is_refused_before_it_is_read(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(struct.pack("<I", LARGEST_TEXT + 1))
    with pytest.raises(StrategyError, match=str(LARGEST_TEXT)):
        receive_from_child(ours, 2**20, 5)


@pytest.mark.parametrize("cut", [0, 1, 4, 9, 40, -1])
def test_an_answer_that_ends_early_is_none(cut: int, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    text = json.dumps({"arrays": [one(shape=[3])]}).encode()
    whole = struct.pack("<I", len(text)) + text + bytes(24)
    theirs.sendall(whole[:cut])
    theirs.close()
    with pytest.raises(ChannelClosed):
        receive_from_child(ours, 2**20, 5)


def test_an_answer_that_does_not_come_in_time_is_none(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(ChannelClosed, match="in time"):
        receive_from_child(pair[0], 2**20, 0.05)


def test_random_bytes_never_end_in_a_traceback(pair: tuple[socket.socket, socket.socket]) -> None:
    rng = np.random.default_rng(0)
    head = json.dumps({"arrays": [one(), one(name="b", shape=[3, 1], dtype="<f4")], "selection": 1}).encode()
    good = struct.pack("<I", len(head)) + head + bytes(28)
    read = refused = 0
    for _ in range(2000):
        damaged = bytearray(good)
        for place in rng.integers(0, len(good), rng.integers(1, 6)):
            damaged[place] = rng.integers(0, 256)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(bytes(damaged))
            theirs.shutdown(socket.SHUT_WR)
            try:
                receive_from_child(ours, 2**20, 1)
                read += 1
            except (StrategyError, ChannelClosed):
                refused += 1
    assert read + refused == 2000
    assert min(read, refused) > 100
