"""How signals stop `run`, and how it continues after its terminal was closed."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import signal
import stat
import sys
from collections.abc import Iterator
from typing import Any, Final, TextIO, cast

from rich.console import Console

from runners.executors.base import Stop

GRACE_SECONDS: Final = 20.0
"""Time for current rounds after a signal. Cluster managers kill after about 30 s."""

INTERRUPTED: Final = "interrupted; what was measured is kept, the same command continues"
interrupted = Console(stderr=True, highlight=False)


class Interrupted(Exception):
    """A signal or a time limit stopped a study before its end.

    What was measured is kept, and the same call continues.
    """


@contextlib.contextmanager
def signals(stop: Stop) -> Iterator[None]:
    """Let the first signal stop after the current rounds, and the second one at once.

    SIGINT, SIGTERM and SIGHUP give rounds a grace period. SIGUSR1, which cluster managers send before the end of a job,
    waits for them. SIGHUP (a closed terminal) is sent by the shell and again by the system, so it never stops at once.
    Where SIGHUP is ignored already, as under nohup, it stays ignored.
    """

    def handle(number: int, _: object) -> None:
        if stop.requested and number not in (signal.SIGUSR1, signal.SIGHUP):
            interrupted.print(INTERRUPTED)
            raise KeyboardInterrupt
        stop.request(math.inf if number == signal.SIGUSR1 else GRACE_SECONDS)
        interrupted.print("stopping after the current rounds; a second signal stops at once")

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Lasting:
    """Standard stream that outlives its terminal: later writes are lost without an error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """See `TextIO.write`."""
        with self._outliving():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """See `TextIO.flush`."""
        with self._outliving():
            self._stream.flush()

    @contextlib.contextmanager
    def _outliving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno != errno.EIO or not stat.S_ISCHR(os.fstat(self._stream.fileno()).st_mode):
                raise  # the stream is a file on a disk; its error must be seen
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Let standard output and error outlive their terminal; a closed one becomes /dev/null."""
    out, err = (cast(TextIO, Lasting(stream)) for stream in (sys.stdout, sys.stderr))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield
