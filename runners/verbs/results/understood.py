"""`compare --columns`: how every source was understood, before anything is computed."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.loading.columns import understand
from analysis.loading.curves import Curves
from analysis.loading.sources import read_sources
from analysis.loading.understanding import ColumnUse, as_dict, column_uses, facts
from protocol.errors import InputError
from protocol.seal.archive import is_archive, open_study
from runners.terminal.console import console, print_json, table
from runners.verbs.results.compare_options import CompareOptions

SHOWN = 3
"""Files, and columns that are used alike, which are listed one by one."""
MOST = 12
"""Columns that are used alike, up to which all are listed."""
NAMES = 12
"""Width of the names of facts."""


def show_columns(sources: Sequence[Path], options: CompareOptions, *, json: bool) -> None:
    """Print columns, strategies, seeds, budgets, direction and gaps of every source.

    Raises:
        InputError: a source cannot be understood; the columns that were understood are printed before.
    """
    options.refuse_faults()
    documents: list[dict[str, Any]] = []
    faults = []
    for paths in options.sets(sources):
        uses: tuple[ColumnUse, ...] = ()
        try:
            with open_study(paths[0]) as folder:
                whole = (folder,) if is_archive(paths[0]) else paths
                curves, uses = _read(whole, options)
        except InputError as error:
            uses = uses or _as_far_as(paths, options)
            faults += list(error.faults)
            if uses and not json:
                _print_columns(paths, uses)
            continue
        documents.append(as_dict(uses, curves) | {"sources": [str(path) for path in paths]})
        if not json:
            _print_columns(paths, uses)
            _print_facts(curves)
    if faults:
        raise InputError(faults)
    if json:
        print_json(documents[0] if len(documents) == 1 else {"sources": documents})


def _read(paths: Sequence[Path], options: CompareOptions) -> tuple[Curves, tuple[ColumnUse, ...]]:
    curves = options.curves(*paths)
    return curves, _as_far_as(paths, options)


def _as_far_as(paths: Sequence[Path], options: CompareOptions) -> tuple[ColumnUse, ...]:
    """Return the columns of tables as far as they are understood; none of a study, or of an unreadable file."""
    if options.is_study(*paths):
        return ()
    try:
        reading = read_sources(options.files(paths))
    except InputError:
        return ()
    try:
        understand(reading, options.columns, options.wide, options.baseline)
    except InputError:
        return column_uses(reading)
    return column_uses(reading)


def _print_columns(paths: Sequence[Path], uses: Sequence[ColumnUse]) -> None:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    console.print(", ".join(map(str, paths[:SHOWN])) + more, markup=False, soft_wrap=True, style="bold")
    if not uses:
        return
    rows = [(use.column, use.role or "-", use.cells, use.why) for use in _without_repeats(uses)]
    columns = ["column", "read as", "cells", "because"]
    out = table("", columns, [])
    out.title = None
    for row in rows:
        out.add_row(*(_plain(cell) for cell in row))
    console.print(out)


def _without_repeats(uses: Sequence[ColumnUse]) -> list[ColumnUse]:
    """Keep the first of many columns that are used alike, and count the others; --json has all."""
    kinds: dict[tuple[str, str], list[ColumnUse]] = {}
    for use in uses:
        kinds.setdefault((use.role, use.why.split(":")[0]), []).append(use)
    kept = []
    for use in uses:
        alike = kinds[use.role, use.why.split(":")[0]]
        place = alike.index(use)
        name = "(no name)" if use.column.startswith("Unnamed: ") else use.column
        if len(alike) <= MOST or place < SHOWN:
            kept.append(replace(use, column=name))
        elif place == SHOWN:
            more = f"{len(alike) - SHOWN} more columns like these"
            kept.append(ColumnUse("…", use.role, more, f"until {alike[-1].column}"))
    return kept


def _plain(cell: str) -> str:
    return cell.replace("[", r"\[")


def _print_facts(curves: Curves) -> None:
    known = facts(curves)
    for name, text in known.items():
        _print_fact(name, text)
    for place, note in enumerate(curves.notes):
        _print_fact("notes" if not place else "", note)


def _print_fact(name: str, text: str) -> None:
    width = max(console.width, 40) - NAMES
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    for place, line in enumerate(lines):
        console.print(f"{name if not place else '':<{NAMES}}{line}", markup=False, soft_wrap=True, highlight=False)
