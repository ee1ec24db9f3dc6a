"""Tell the kind of a record's lines from their bytes, without parsing them.

Records are canonical JSON: these bytes cannot occur inside a string, because quotes are escaped there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ROUND: Final = b'"event":"round"'
TRIAL: Final = b'"event":"trial"'
FAILURE: Final = b'"event":"failure"'
END: Final = b'"event":"end"'


def whole_lines(raw: bytes) -> list[bytes]:
    """Return the complete lines, without line ends."""
    return raw[: raw.rfind(b"\n") + 1].split(b"\n")[:-1]


def line_numbers(rows: Sequence[bytes], kind: bytes) -> list[int]:
    """Return the positions of the lines of one kind."""
    return [place for place, row in enumerate(rows) if kind in row]


def progress_of(rows: Sequence[bytes]) -> tuple[int, int]:
    """Return the number of complete rounds, and of settings tried since."""
    rounds = line_numbers(rows, ROUND)
    return len(rounds), sum(place > max(rounds, default=-1) for place in line_numbers(rows, TRIAL))
