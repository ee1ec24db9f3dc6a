"""`compare`: the verdicts of a study or of a table of curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from analysis.across import across
from analysis.detail import details
from analysis.rows import Rows
from analysis.tables import formatted
from analysis.verdict import SIMULATION_SEED, Comparison
from analysis.verdict import compare as verdicts_of
from runners.verbs.asked import Asked
from runners.verbs.console import console, print_json, table

__all__ = ["Asked", "compare", "show"]

SHOWN = ["strategy", "answer", "difference", "95 % interval", "adjusted p", "seeds", "seeds to decide"]
"""What fits a terminal; --json, --markdown and --latex give every column."""
COLOURS = {"better": "green", "worse": "red", "equivalent": "cyan", "undecided": "yellow"}


def compare(source: Path, asked: Asked, more: bool, json: bool, markdown: bool, latex: bool) -> None:
    """See `beatrandom compare --help`."""
    curves = asked.curves(source)
    result = verdicts_of(curves)
    beside = details(curves, at=asked.at, rho=asked.rho) if json or more or asked.at else None
    over = across(curves, np.random.default_rng(SIMULATION_SEED)) if json or more else None
    if json:
        print_json(result.to_dict() | (beside.to_dict() if beside else {}) | {"across": over.to_dict() if over else None})
        return
    if markdown or latex:
        print(result.to_markdown() if markdown else result.to_latex())
    else:
        show(result)
    for name, part in beside.parts().items() if beside else ():
        if part.rows and (more or name == "secondary"):
            _show_part(part, markdown, latex)
    if over and (markdown or latex):
        print(over.to_markdown() if markdown else over.to_latex())
    elif over:
        console.print(over.summary(), markup=False, soft_wrap=True)


def _show_part(part: Rows[Any], markdown: bool, latex: bool) -> None:
    if markdown or latex:
        print(f"{'%' if latex else '##'} {part.title}\n\n{part.to_latex() if latex else part.to_markdown()}")
        return
    frame = part.formatted()
    console.print(table(part.title, list(frame.columns), frame.to_numpy().tolist(), list(frame.columns[2:])))


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
