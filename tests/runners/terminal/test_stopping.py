"""Signals ask `run` to stop; a terminal that is closed takes nothing with it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

import pytest
from rich.console import Console

from runners.executors.base import Stop
from runners.terminal.stopping import Lasting, lasting, signals


@pytest.fixture
def hangup() -> Iterator[None]:
    """Whatever a test does to the signal, it is as before afterwards."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangup")
def test_a_closed_terminal_asks_to_stop_and_never_stops_at_once() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    stop = Stop()
    with signals(stop):
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.requested
        assert not stop.overdue
        os.kill(os.getpid(), signal.SIGHUP)  # of the shell, then of the system
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


@pytest.mark.usefixtures("hangup")
def test_a_hangup_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = Stop()
    with signals(stop):
        os.kill(os.getpid(), signal.SIGHUP)
    assert not stop.requested


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, TextIOWrapper]]:
    """The side of a terminal that its window holds, and a stream that writes to the other one."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as stream:
        yield ours, stream


def test_what_is_written_to_a_closed_terminal_is_lost_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal() as (window, stream):
        monkeypatch.setattr(sys, "stdout", stream)
        with lasting():
            Console().print("seen")
            assert os.read(window, 100) == b"seen\r\n"
            os.close(window)
            for _ in range(3):
                Console().print("not seen")
        assert sys.stdout is stream
        print("not seen either", flush=True)


def test_a_disk_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with (tmp_path / "log").open("w") as log:
        monkeypatch.setattr(log, "write", fails)
        with pytest.raises(OSError, match="Input/output"):
            Lasting(log).write("lost")
