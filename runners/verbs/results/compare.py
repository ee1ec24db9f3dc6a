"""`compare`: the verdicts of studies or of tables of curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from analysis.across import sentences as across_sentences
from analysis.across import tables as across_tables
from analysis.across.collect import across
from analysis.formatting.rows import Rows
from analysis.loading.curves import Curves
from analysis.secondary.details import details as secondary_results
from analysis.verdict import sentences, verdict_table
from analysis.verdict.comparison import SIMULATION_SEED, Comparison
from analysis.verdict.decide import compare as verdicts_of
from protocol.errors import Fault, InputError, NotDecidable
from protocol.plain_text import one_line, visible
from protocol.seal.archive import open_study
from runners.terminal.console import console, print_json, print_plain, table
from runners.verbs.results.compare_options import CompareOptions
from runners.verbs.results.sparks import mean_curves
from runners.verbs.results.understood import show_columns

SHOWN = ["strategy", "answer", "difference", "95 % interval", "adjusted p", "seeds", "seeds to decide"]
"""Columns that fit a terminal; --json, --markdown and --latex have all columns."""
SCHEMA = "beatrandom/comparisons/1"
"""Schema of one JSON document with the comparisons of several sources."""
WIDE = 100
"""Width in characters from which the last column is shown; the sentences always have it."""
COLOURS = {"better": "green", "worse": "red", "equivalent": "cyan", "undecided": "yellow"}


def compare(
    *,
    sources: Sequence[Path],
    details: bool,
    json: bool,
    markdown: bool,
    latex: bool,
    columns: bool = False,
    **options: Any,
) -> None:
    """See `beatrandom compare --help`; `options` are the fields of `CompareOptions`."""
    chosen = CompareOptions.of(**options)
    if columns:
        show_columns(sources, chosen, json=json)
        return
    curves_of = _read_sources(sources, chosen)
    several = len(curves_of) > 1
    if json:
        named = [
            _as_dict(curves, chosen) | ({"source": str(source)} if several else {}) for source, curves in curves_of
        ]
        print_json({"schema": SCHEMA, "comparisons": named} if several else named[0])
        return
    for place, (source, curves) in enumerate(curves_of):
        if several and (markdown or latex):
            print_plain(f"{'%' if latex else '##'} {curves.study}: {source}\n")
        elif several:
            gap = "\n" if place else ""
            console.print(f"{gap}{curves.study}: {source}", markup=False, soft_wrap=True, style="bold")
        _print(curves, chosen, details, markdown, latex)


def _read_sources(sources: Sequence[Path], options: CompareOptions) -> list[tuple[Path, Curves]]:
    """Read the curves of every source.

    Raises:
        InputError: with the faults of all sources.
    """
    curves: list[tuple[Path, Curves]] = []
    undecidable = True
    faults: dict[Fault, None] = {}  # a wrong option is the same fault for every source
    options.refuse_faults()
    for paths in options.sets(sources):
        try:
            with open_study(paths[0]) as folder:
                curves.append((paths[0], options.curves(folder, *paths[1:])))
        except InputError as error:
            faults |= dict.fromkeys(error.faults)
            undecidable &= isinstance(error, NotDecidable)
    if faults:
        raise (NotDecidable if undecidable else InputError)(list(faults))
    return curves


def _as_dict(curves: Curves, options: CompareOptions) -> dict[str, Any]:
    secondary = secondary_results(curves, at=options.at, rho=options.rho)
    over = across(curves, np.random.default_rng(SIMULATION_SEED))
    return verdicts_of(curves).to_dict() | secondary.to_dict() | {"across": over.to_dict() if over else None}


def _print(curves: Curves, options: CompareOptions, details: bool, markdown: bool, latex: bool) -> None:
    result = verdicts_of(curves)
    secondary = secondary_results(curves, at=options.at, rho=options.rho) if details or options.at else None
    over = across(curves, np.random.default_rng(SIMULATION_SEED)) if details else None
    if markdown or latex:
        print_plain(verdict_table.to_markdown(result) if markdown else verdict_table.to_latex(result))
        print_plain("\n".join(f"% {one_line(line)}" if latex else f"{line}\n" for line in result.read_first))
    else:
        show(result, curves)
    for name, part in secondary.parts().items() if secondary else ():
        if part.rows and (details or name == "secondary"):
            _show_part(part, markdown, latex)
    if over and (markdown or latex):
        print_plain(across_tables.to_markdown(over) if markdown else across_tables.to_latex(over))
    elif over:
        console.print(across_sentences.summary(over), markup=False, soft_wrap=True)


def _show_part(part: Rows[Any], markdown: bool, latex: bool) -> None:
    if markdown or latex:
        print_plain(f"{'%' if latex else '##'} {part.title}\n\n{part.to_latex() if latex else part.to_markdown()}")
        return
    frame = part.formatted()
    console.print(table(part.title, list(frame.columns), frame.to_numpy().tolist(), list(frame.columns[2:])))


def show(result: Comparison, curves: Curves) -> None:
    """Print the verdict table with the mean curve of every strategy, and the verdicts in words."""
    console.print("\n".join(result.read_first), markup=False, soft_wrap=True)
    frame = verdict_table.formatted(result.verdicts, result.unit)
    wanted = [name.replace("seed", result.unit) for name in SHOWN]
    for protocol, group in frame.groupby("protocol", sort=False):
        sparks = {} if console.options.ascii_only else mean_curves(curves, str(protocol))
        columns = (
            [*wanted[:2], "mean curve", *(wanted[2:] if console.width >= WIDE else wanted[2:-1])] if sparks else wanted
        )
        cells = group.assign(**{"mean curve": [sparks.get(s, "") for s in group["strategy"]]})[columns]
        rows = [[_coloured(str(cell)) for cell in row] for row in cells.to_numpy().tolist()]
        reference = f" ({result.baseline}: {sparks[result.baseline]})" if result.baseline in sparks else ""
        console.print(table(f"Who beats {result.baseline}? {protocol}{reference}", columns, rows, wanted[2:]))
    said = replace(result, directions={}, warnings=())  # they are printed above the table
    console.print(sentences.summary(said), markup=False, soft_wrap=True)


def _coloured(cell: str) -> Text:
    colour = COLOURS.get(cell.split()[0]) if cell.strip() else None
    return Text(visible(cell), colour or "")
