"""Console, tables and durations of all verbs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


class _Console(Console):
    """Console that wraps text only in a terminal, so that a log can be searched and copied."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print like `rich.print`, but never crop: wide tables continue on the next line."""
        options.setdefault("crop", False)
        if not self.is_terminal and all(isinstance(each, str | Text) for each in objects):
            options.setdefault("soft_wrap", True)
        super().print(*objects, **options)


console = _Console(highlight=False)


def print_json(value: Any) -> None:
    """Print one JSON document to standard output."""
    print(json.dumps(value, indent=2, sort_keys=True, allow_nan=False))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[str] = ()) -> Table:
    """Build a rich table. Columns named in `numeric` are right-aligned."""
    out = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for place, column in enumerate(columns):
        longest_word = max(map(len, column.split()), default=0)  # in a narrow window, cells fold before the header
        out.add_column(
            column,
            justify="right" if column in numeric else "left",
            overflow="fold",
            no_wrap=not place,
            min_width=longest_word,
        )
    for row in rows:
        out.add_row(*(str(cell) for cell in row))
    return out


def duration(seconds: float) -> str:
    """Format seconds for people: 42 s, 3 min 10 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
