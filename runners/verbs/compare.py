"""`compare`: the verdicts of a study or of a table of curves."""

from __future__ import annotations

from pathlib import Path

from analysis.load import load_study, load_table
from analysis.tables import formatted
from analysis.verdict import Comparison
from analysis.verdict import compare as verdicts_of
from runners.verbs.console import console, table

COLOURS = {"better": "green", "worse": "red", "equivalent": "cyan", "undecided": "yellow"}


def compare(source: Path, json: bool, markdown: bool, latex: bool) -> None:
    """See `beatrandom compare --help`."""
    curves = load_study(source) if source.is_dir() else load_table(source)
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
    rows = [
        [f"[{COLOURS[cell.split()[0]]}]{cell}[/]" if cell.split()[0] in COLOURS else cell for cell in row]
        for row in frame.to_numpy().tolist()
    ]
    columns = list(frame.columns)
    console.print(table("Who beats random?", columns, rows, columns[3:]))
    console.print(result.summary(), markup=False, soft_wrap=True)
