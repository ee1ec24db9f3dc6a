"""The page of `beatrandom --help`: all verbs in panels.

It has the look of typer's help pages, but is drawn without building every command and without typer's help module,
whose imports take longer than everything else.
"""

from __future__ import annotations

import inspect
import re

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table


def show_overview(app: typer.Typer) -> None:
    """Print usage, help text, options, and the verbs of all groups by panel."""
    console = Console(highlight=False, emoji=False)
    console.print(Padding(f"[yellow]Usage:[/] [bold]{app.info.name} {escape('[OPTIONS] COMMAND [ARGS]...')}[/]", 1))
    for paragraph in str(app.info.help).split("\n\n"):
        console.print(Padding(_markup(paragraph), (0, 1, 1, 1)))
    panels: dict[str, list[tuple[str, str]]] = {
        "Options": [("-h, --help", "Show this message and exit."), ("--version", "Show the version and exit.")]
    }
    for group in app.registered_groups:
        for command in group.typer_instance.registered_commands if group.typer_instance else ():
            if command.callback:
                summary = (inspect.getdoc(command.callback) or "").partition("\n\n")[0]
                panels.setdefault(str(command.rich_help_panel), []).append((command.callback.__name__, summary))
    width = max(len(name) for rows in panels.values() for name, _ in rows)
    for panel, rows in panels.items():
        table = Table(box=None, show_header=False, expand=True, padding=(0, 1), pad_edge=False)
        table.add_column(style="bold cyan", no_wrap=True, width=width)
        table.add_column(ratio=10)
        for name, text in rows:
            table.add_row(name, _markup(text))
        console.print(Panel(table, title=panel, title_align="left", border_style="dim"))


def _markup(text: str) -> str:
    """Turn a Markdown paragraph with **bold** and `code` into rich's markup."""
    line = escape(" ".join(text.split()))
    return re.sub(r"`(.+?)`", r"[bold cyan]\1[/]", re.sub(r"\*\*(.+?)\*\*", r"[bold]\1[/]", line))
