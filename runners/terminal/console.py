"""Console, tables and durations of all verbs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from protocol.plain_text import visible


class _Console(Console):
    """Console that wraps text only in a terminal, so that a log can be searched and copied."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print like `rich.print`, but never crop: wide tables continue on the next line."""
        options.setdefault("crop", False)
        if not self.is_terminal and all(isinstance(each, str | Text) for each in objects):
            options.setdefault("soft_wrap", True)
        super().print(*objects, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render as rich does, and show text that would steer the terminal as escapes."""
        for segment in super().render(renderable, options):
            text = segment.text
            if segment.control or (shown := visible(text)) == text:
                yield segment
            else:
                yield Segment(shown, segment.style)


console = _Console(highlight=False, markup=False, emoji=False)
"""Prints text as it is: names from files may hold rich's markup."""


def print_json(value: Any) -> None:
    """Print one JSON document to standard output."""
    print(json.dumps(value, indent=2, sort_keys=True, allow_nan=False))


def print_plain(text: str) -> None:
    """Print text to standard output as `visible` shows it."""
    print(visible(text))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[str] = ()) -> Table:
    """Build a rich table of plain cells. Columns named in `numeric` are right-aligned."""
    out = Table(
        title=Text(visible(title), "bold"),
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for place, column in enumerate(columns):
        longest_word = max(map(len, column.split()), default=0)  # in a narrow window, cells fold before the header
        out.add_column(
            Text(visible(column)),
            justify="right" if column in numeric else "left",
            overflow="fold",
            no_wrap=not place,
            min_width=longest_word,
        )
    for row in rows:
        out.add_row(*(cell if isinstance(cell, Text) else Text(visible(str(cell))) for cell in row))
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
