"""What all verbs share with the terminal."""

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
    """Off a terminal, text is not broken into lines: a log keeps messages, commands and paths whole, to be searched and copied."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich's."""
        options.setdefault(
            "crop", False
        )  # a table too wide for the window goes on in the next line, and loses no column
        if not self.is_terminal and all(isinstance(each, str | Text) for each in objects):
            options.setdefault("soft_wrap", True)
        super().print(*objects, **options)


console = _Console(highlight=False)


def print_json(value: Any) -> None:
    """Machine output: one JSON document on standard output."""
    print(json.dumps(value, indent=2, sort_keys=True, allow_nan=False))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[str] = ()) -> Table:
    """A rich table; columns named in `numeric` are right-aligned."""
    out = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for place, column in enumerate(columns):
        whole = max(
            map(len, column.split()), default=0
        )  # where room is short, cells are folded before the words above them
        out.add_column(
            column,
            justify="right" if column in numeric else "left",
            overflow="fold",
            no_wrap=not place,
            min_width=whole,
        )
    for row in rows:
        out.add_row(*(str(cell) for cell in row))
    return out


def duration(seconds: float) -> str:
    """Seconds for people: 42 s, 3 min 10 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
