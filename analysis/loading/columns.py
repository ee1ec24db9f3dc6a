"""A table of text cells, tidy or wide, comes under our column names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from analysis.loading.curves import COLUMNS
from analysis.loading.text_cells import LINE, read_cells
from protocol.errors import Fault, InputError, unknown_name

NAMES: Final = ("study", "protocol", "dataset", "regime", "strategy", "metric")
"""Columns of text."""
WIDE: Final = ("budget", "strategy", "seed", "dataset", "metric")


def read_table(
    path: Path, columns: Mapping[str, str], wide: str | None, baseline: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Text cells (missing: NaN) under our names with `LINE`, and notes.

    A table that has neither a strategy nor a value column, but a column called like the baseline, is read as one of
    strategies side by side; without seed or dataset its one other column, or else its rows, are the data sets. Notes say so.

    Raises:
        InputError: the file cannot be read, a mapped column is not there, or a needed column is absent.
    """
    frame = read_cells(path)
    taken = set(frame.columns) | set(columns)
    small = {
        c: c.strip().lower() for c in frame.columns if c not in columns.values() and c.strip().lower() not in taken
    }
    once = {c: name for c, name in small.items() if name in COLUMNS and list(small.values()).count(name) == 1}
    frame = frame.rename(columns=once)  # "Seed" is meant to be seed
    frame = _renamed(frame, columns, str(path))
    notes: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()
    if wide is None and baseline in frame.columns and not {"strategy", "value"} & set(frame.columns):
        wide = "strategy"
        guessed = (
            f"read as a column per strategy (--wide strategy), as there is a column {baseline} and none called strategy or value",
        )
    if wide == "strategy" and not {"seed", "dataset", "strategy", "value"} & set(frame.columns):
        frame, more = _with_datasets(frame, str(path))
        guessed += more
    if wide is not None:
        frame, notes = _melted(frame, wide, str(path))
    notes = (*guessed, *notes)
    _complete(frame, str(path))
    for column in (c for c in NAMES if c in frame.columns):  # "margin " is meant to be margin
        frame[column] = frame[column].map({cell: cell.strip() for cell in frame[column].dropna().unique()})
    return frame.reset_index(drop=True), notes


def _complete(frame: pd.DataFrame, where: str) -> None:
    """Raises InputError if a column that is needed, or every row, is absent."""
    absent = [c for c in ("strategy", "value") if c not in frame.columns]
    unpaired = not {"seed", "dataset"} & set(frame.columns)
    there = ", ".join(c for c in frame.columns if c != LINE)
    fix = "name them with --column OURS=THEIRS; is the table wide, say --wide budget or --wide strategy"
    if absent:
        absent += ["seed (or dataset, if data sets are the pairs)"] if unpaired else []
        raise InputError(
            Fault(where, "columns strategy, seed, budget, value", f"no {', '.join(absent)} among {there}", fix)
        )
    if unpaired:
        fix = "name it with --column seed=THEIRS. Means alone cannot be tested: their spread is unknown; ask the authors for the value of every seed"
        raise InputError(
            Fault(where, "a column seed (or dataset, if data sets are the pairs)", f"neither among {there}", fix)
        )
    if frame.empty:
        raise InputError(Fault(where, "at least one row", "only a header"))


def _with_datasets(frame: pd.DataFrame, where: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The one column whose cells are no numbers names the data sets; without one, each row is one."""
    others = [c for c in frame.columns if c not in COLUMNS and c != LINE]
    text = [c for c in others if pd.to_numeric(frame[c], errors="coerce").isna().all() and frame[c].notna().any()]
    if len(text) > 1:
        fix = f"say which with --column dataset={text[0]}"
        raise InputError(Fault(where, "one column that names the data sets", ", ".join(text), fix))
    if text:
        return frame.rename(columns={text[0]: "dataset"}), (f"column {text[0]} names the data sets",)
    if "budget" in frame.columns:
        return frame, ()  # a mean curve each: `_complete` says what is absent
    numbered = frame.assign(dataset=[f"row {line}" for line in frame[LINE]])
    return numbered, (
        "no column names seeds or data sets: each row, called after its line in the file, is taken for a data set",
    )


def _renamed(frame: pd.DataFrame, columns: Mapping[str, str], where: str) -> pd.DataFrame:
    faults = [
        unknown_name(f"{where}: --column {ours}={theirs}", ours, COLUMNS)
        for ours, theirs in columns.items()
        if ours not in COLUMNS
    ]
    there = [c for c in frame.columns if c != LINE]
    faults += [
        unknown_name(f"{where}: --column {ours}={theirs}", theirs, there)
        for ours, theirs in columns.items()
        if theirs not in there
    ]
    if faults:
        raise InputError(faults)
    shadowed = [
        c for c in columns if c in there and c not in columns.values()
    ]  # what is mapped wins over what happens to be called so
    return frame.drop(columns=shadowed).rename(columns={theirs: ours for ours, theirs in columns.items()})


def _melted(frame: pd.DataFrame, wide: str, where: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Columns that have no meaning of their own become values of `wide`, a row per cell; empty cells stay."""
    if wide not in WIDE:
        raise InputError(unknown_name(f"{where}: --wide", wide, WIDE))
    taken = [c for c in (wide, "value") if c in frame.columns]
    if taken:
        raise InputError(
            Fault(
                f"{where}: --wide {wide}",
                f"no columns {wide} and value",
                f"both or one: {', '.join(taken)}",
                "leave out --wide",
            )
        )
    own = [c for c in frame.columns if c in COLUMNS or c == LINE]
    spread = {c: c for c in frame.columns if c not in own}
    if wide in ("budget", "seed"):
        found = {c: re.fullmatch(r"\D*?(\d+)(?:\.0+)?", c.strip()) for c in spread}
        spread = {c: match.group(1) for c, match in found.items() if match}
    if not spread:
        raise InputError(
            Fault(
                f"{where}: --wide {wide}", f"columns that are {wide}s", f"only {', '.join(c for c in own if c != LINE)}"
            )
        )
    twice = sorted({c for c in spread if list(spread.values()).count(spread[c]) > 1})
    if twice:
        raise InputError(
            Fault(
                f"{where}: --wide {wide}", f"each {wide} in one column", ", ".join(twice), "rename or drop one of them"
            )
        )
    ignored = [c for c in frame.columns if c not in own and c not in spread]
    long = frame[[*own, *spread]].melt(id_vars=own, var_name=wide, value_name="value")
    long[wide] = long[wide].map(spread)
    return long, ((f"columns that are no {wide} were ignored: {', '.join(ignored)}",) if ignored else ())
