"""What the lines of a record are, told from their bytes; loads nothing heavy.

Records are canonical JSON: these bytes cannot occur inside a string, where quotes are escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ROUND: Final = b'"event":"round"'
TRIAL: Final = b'"event":"trial"'
FAILURE: Final = b'"event":"failure"'
END: Final = b'"event":"end"'


def whole_lines(raw: bytes) -> list[bytes]:
    """Without their ends; what follows the last one was being written."""
    return raw[: raw.rfind(b"\n") + 1].split(b"\n")[:-1]


def line_numbers(rows: Sequence[bytes], kind: bytes) -> list[int]:
    """Which lines are of that kind."""
    return [place for place, row in enumerate(rows) if kind in row]


def progress_of(rows: Sequence[bytes]) -> tuple[int, int]:
    """Whole rounds, and settings tried since, of a protocol that is tuned."""
    rounds = line_numbers(rows, ROUND)
    return len(rounds), sum(place > max(rounds, default=-1) for place in line_numbers(rows, TRIAL))
