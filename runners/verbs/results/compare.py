"""`compare`: the verdicts of studies or of tables of curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from analysis.across import sentences as across_sentences
from analysis.across import tables as across_tables
from analysis.across.collect import across
from analysis.formatting.rows import Rows
from analysis.loading.curves import Curves
from analysis.secondary.details import details
from analysis.verdict import sentences, verdict_table
from analysis.verdict.comparison import SIMULATION_SEED, Comparison
from analysis.verdict.decide import compare as verdicts_of
from protocol.errors import Fault, InputError
from protocol.seal.archive import open_study
from runners.verbs.results.asked import Asked
from runners.verbs.results.sparks import mean_curves
from runners.verbs.shared.console import console, print_json, table

__all__ = ["Asked", "compare", "show"]

SHOWN = ["strategy", "answer", "difference", "95 % interval", "adjusted p", "seeds", "seeds to decide"]
"""What fits a terminal; --json, --markdown and --latex give every column."""
SCHEMA = "beatrandom/comparisons/1"
"""Of several sources' comparisons in one document."""
ROOMY = 100
"""Characters from which the last column fits beside the curves; the words say it, too."""
COLOURS = {"better": "green", "worse": "red", "equivalent": "cyan", "undecided": "yellow"}


def compare(sources: Sequence[Path], asked: Asked, more: bool, json: bool, markdown: bool, latex: bool) -> None:
    """See `beatrandom compare --help`."""
    found = _curves_of(sources, asked)
    several = len(found) > 1
    if json:
        said = [_as_dict(curves, asked) | ({"source": str(source)} if several else {}) for source, curves in found]
        print_json({"schema": SCHEMA, "comparisons": said} if several else said[0])
        return
    for place, (source, curves) in enumerate(found):
        if several and (markdown or latex):
            print(f"{'%' if latex else '##'} {curves.study}: {source}\n")
        elif several:
            console.print(
                f"{chr(10) if place else ''}{curves.study}: {source}", markup=False, soft_wrap=True, style="bold"
            )
        _print(curves, asked, more, markdown, latex)


def _curves_of(sources: Sequence[Path], asked: Asked) -> list[tuple[Path, Curves]]:
    """Every source's curves, packed studies as they are. Raises InputError with the faults of all sources."""
    found: list[tuple[Path, Curves]] = []
    faults: dict[Fault, None] = {}  # a wrong option is the same fault for every source
    for source in dict.fromkeys(sources):
        try:
            with open_study(source) as place:
                found.append((source, asked.curves(place)))
        except InputError as error:
            faults |= dict.fromkeys(error.faults)
    if faults:
        raise InputError(list(faults))
    return found


def _as_dict(curves: Curves, asked: Asked) -> dict[str, Any]:
    beside = details(curves, at=asked.at, rho=asked.rho)
    over = across(curves, np.random.default_rng(SIMULATION_SEED))
    return verdicts_of(curves).to_dict() | beside.to_dict() | {"across": over.to_dict() if over else None}


def _print(curves: Curves, asked: Asked, more: bool, markdown: bool, latex: bool) -> None:
    result = verdicts_of(curves)
    beside = details(curves, at=asked.at, rho=asked.rho) if more or asked.at else None
    over = across(curves, np.random.default_rng(SIMULATION_SEED)) if more else None
    if markdown or latex:
        print(verdict_table.to_markdown(result) if markdown else verdict_table.to_latex(result))
    else:
        show(result, curves)
    for name, part in beside.parts().items() if beside else ():
        if part.rows and (more or name == "secondary"):
            _show_part(part, markdown, latex)
    if over and (markdown or latex):
        print(across_tables.to_markdown(over) if markdown else across_tables.to_latex(over))
    elif over:
        console.print(across_sentences.summary(over), markup=False, soft_wrap=True)


def _show_part(part: Rows[Any], markdown: bool, latex: bool) -> None:
    if markdown or latex:
        print(f"{'%' if latex else '##'} {part.title}\n\n{part.to_latex() if latex else part.to_markdown()}")
        return
    frame = part.formatted()
    console.print(table(part.title, list(frame.columns), frame.to_numpy().tolist(), list(frame.columns[2:])))


def show(result: Comparison, curves: Curves) -> None:
    """The verdict table, with every strategy's mean curve, and what it means in words."""
    frame = verdict_table.formatted(result.verdicts)
    for protocol, group in frame.groupby("protocol", sort=False):
        drawn = {} if console.options.ascii_only else mean_curves(curves, str(protocol))
        columns = (
            [*SHOWN[:2], "mean curve", *(SHOWN[2:] if console.width >= ROOMY else SHOWN[2:-1])] if drawn else SHOWN
        )
        cells = group.assign(**{"mean curve": [drawn.get(s, "") for s in group["strategy"]]})[columns]
        rows = [[_coloured(str(cell)) for cell in row] for row in cells.to_numpy().tolist()]
        reference = f" ({result.baseline}: {drawn[result.baseline]})" if result.baseline in drawn else ""
        console.print(table(escape(f"Who beats {result.baseline}? {protocol}{reference}"), columns, rows, SHOWN[2:]))
    console.print(sentences.summary(result), markup=False, soft_wrap=True)


def _coloured(cell: str) -> str:
    colour = COLOURS.get(cell.split()[0]) if cell.strip() else None
    return f"[{colour}]{cell}[/]" if colour else escape(cell)
