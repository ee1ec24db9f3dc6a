"""How `run` is asked to stop, and how it goes on to its end without the terminal it was started from."""

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
"""After SIGINT, SIGTERM or SIGHUP, for rounds under way; cluster managers kill after about 30 s."""

INTERRUPTED: Final = "interrupted; what was measured is kept, the same command continues"
interrupted = Console(stderr=True, highlight=False)


@contextlib.contextmanager
def signals(stop: Stop) -> Iterator[None]:
    """The first signal asks to stop after the rounds under way, the next one stops at once.

    SIGINT, SIGTERM and SIGHUP give rounds a grace period; SIGUSR1, which cluster managers send ahead of the end, waits for them.
    SIGHUP, a closed terminal, comes from the shell and again from the system, so it never stops at once; where it is ignored
    already, as under nohup, it stays so.
    """

    def asked(number: int, _: object) -> None:
        if stop.asked and number not in (signal.SIGUSR1, signal.SIGHUP):
            interrupted.print(INTERRUPTED)
            raise KeyboardInterrupt
        stop.ask(math.inf if number == signal.SIGUSR1 else GRACE_SECONDS)
        interrupted.print("stopping after the rounds under way; once more stops at once")

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, asked) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Lasting:
    """A standard stream that outlives its terminal: what is written after that was closed is lost, and no error."""

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
                raise  # of a disk: whoever reads the file must hear of it
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Standard output and error outlive their terminal meanwhile, and what was found closed is never written to again."""
    out, err = (cast(TextIO, Lasting(stream)) for stream in (sys.stdout, sys.stderr))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield
