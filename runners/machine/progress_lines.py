"""When a line about long work is due, where no progress bar can be: in a run's log, or of a pipe."""

from __future__ import annotations

import time
from typing import Final

SECONDS: Final = 15.0
"""Between two lines."""


class Pace:
    """Starts when it is made."""

    def __init__(self) -> None:
        self._start = self._said = time.monotonic()

    def left(self, done: int, total: int) -> float | None:
        """Seconds that the rest will take, if a line is due; at least one of the total must be done."""
        now = time.monotonic()
        if now - self._said < SECONDS:
            return None
        self._said = now
        return (now - self._start) / done * (total - done)
