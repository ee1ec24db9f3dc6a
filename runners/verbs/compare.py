"""`compare`: the verdicts of a study or of a table of curves."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from analysis.tables import formatted
from analysis.verdict import Comparison
from analysis.verdict import compare as verdicts_of
from runners.verbs.asked import Asked
from runners.verbs.console import console, table

__all__ = ["Asked", "compare", "show"]

SHOWN = ["strategy", "answer", "difference", "95 % interval", "adjusted p", "seeds", "seeds to decide"]
"""What fits a terminal; --json, --markdown and --latex give every column."""
COLOURS = {"better": "green", "worse": "red", "equivalent": "cyan", "undecided": "yellow"}


def compare(source: Path, asked: Asked, json: bool, markdown: bool, latex: bool) -> None:
    """See `beatrandom compare --help`."""
    curves = asked.curves(source)
    result = verdicts_of(curves)
    if json:
        print(result.to_json())
    elif markdown:
        print(result.to_markdown())
    elif latex:
        print(result.to_latex())
    else:
        show(result)


def show(result: Comparison) -> None:
    """The verdict table and what it means in words."""
    frame = formatted(result.verdicts)
    for protocol, group in frame.groupby("protocol", sort=False):
        rows = [[_coloured(str(cell)) for cell in row] for row in group[SHOWN].to_numpy().tolist()]
        console.print(table(f"Who beats {result.baseline}? {protocol}", SHOWN, rows, SHOWN[2:]))
    console.print(result.summary(), markup=False, soft_wrap=True)


def _coloured(cell: str) -> str:
    colour = COLOURS.get(cell.split()[0])
    return f"[{colour}]{cell}[/]" if colour else escape(cell)
