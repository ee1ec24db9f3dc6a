"""Text on standard error, for a run's log or a pipe, where no progress bar can be drawn."""

from __future__ import annotations

import sys
import time
from typing import Final

from protocol.plain_text import visible

SECONDS: Final = 15.0
"""Interval between two progress lines."""


class ProgressLines:
    """Timer that decides when the next progress line is due. It starts on construction."""

    def __init__(self) -> None:
        self._start = self._last = time.monotonic()

    def seconds_left(self, done: int, total: int) -> float | None:
        """Return the expected seconds for the rest, or None if no line is due yet. `done` must be at least 1."""
        now = time.monotonic()
        if now - self._last < SECONDS:
            return None
        self._last = now
        return (now - self._start) / done * (total - done)


def print_notice(text: str) -> None:
    """Print a message that is not a result to standard error."""
    print(f"beatrandom: {visible(text)}", file=sys.stderr, flush=True)
