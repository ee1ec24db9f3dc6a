"""`beatrandom --help`, drawn without typer's help module, whose Markdown and traceback imports take longer than the rest."""

from __future__ import annotations

import re
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from typer.core import TyperGroup

BORDER = "dim"


class Overview(TyperGroup):
    """The group of all verbs. Its help page has the look of typer's; the pages of the verbs are typer's own."""

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        """Print usage, help text, options, and verbs by panel."""
        console = Console(highlight=False)
        usage = self.get_usage(ctx).removeprefix("Usage: ")
        console.print(Padding(f"[yellow]Usage:[/] [bold]{escape(usage)}[/]", 1))
        for paragraph in (self.help or "").split("\n\n"):
            console.print(Padding(_markup(paragraph), (0, 1, 1, 1)))
        width = max(map(len, self.commands))
        _print_panel(console, "Options", [("--help", "Show this message and exit.")], width)
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            panel = getattr(command, "rich_help_panel", None) or "Commands"
            panels.setdefault(str(panel), []).append((name, (command.help or "").partition("\n\n")[0]))
        for panel, rows in panels.items():
            _print_panel(console, panel, rows, width)


def _print_panel(console: Console, title: str, rows: list[tuple[str, str]], width: int) -> None:
    table = Table(box=None, show_header=False, expand=True, padding=(0, 1), pad_edge=False)
    table.add_column(style="bold cyan", no_wrap=True, width=width)
    table.add_column(ratio=10)
    for name, text in rows:
        table.add_row(name, _markup(text))
    console.print(Panel(table, title=title, title_align="left", border_style=BORDER))


def _markup(text: str) -> str:
    """Turn a Markdown paragraph with **bold** and `code` into rich's markup."""
    line = escape(" ".join(text.split()))
    return re.sub(r"`(.+?)`", r"[bold cyan]\1[/]", re.sub(r"\*\*(.+?)\*\*", r"[bold]\1[/]", line))
