"""`compare`: the verdicts of a study or of a table of curves."""

from __future__ import annotations

from pathlib import Path

from analysis.load import load_study, load_table
from analysis.verdict import Comparison
from analysis.verdict import compare as verdicts_of
from runners.verbs.console import console, print_json, table

COLOURS = {"better": "green", "worse": "red", "equivalent": "cyan", "undecided": "yellow"}


def compare(source: Path, json: bool, markdown: bool, latex: bool) -> None:
    """See `beatrandom compare --help`."""
    curves = load_study(source) if source.is_dir() else load_table(source)
    result = verdicts_of(curves)
    if json:
        print_json(result.to_json())
    elif markdown:
        print(result.to_markdown())
    elif latex:
        print(result.to_latex())
    else:
        show(result)


def show(result: Comparison) -> None:
    """The verdict table and what it means in words."""
    columns, rows = result.display()
    coloured = [[f"[{COLOURS[cell]}]{cell}[/]" if cell in COLOURS else cell for cell in row] for row in rows]
    console.print(table("Who beats random?", columns, coloured, columns[3:]))
    console.print(result.summary(), markup=False)
