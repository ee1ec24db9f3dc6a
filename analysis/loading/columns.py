"""Bring a table of text cells, tidy or wide, under the project's column names."""

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
    """Read a table as text cells under the project's column names.

    A table that has neither a strategy nor a value column, but a column named like the baseline, is read as one column
    per strategy. If it also has neither seed nor dataset, its one text column names the data sets, or else each row is
    a data set. Notes report these guesses.

    Args:
        path: CSV or Parquet file.
        columns: Our column name -> the table's name.
        wide: Column whose values are spread over columns, if any.
        baseline: Name of the baseline strategy.

    Returns:
        Text cells (missing: NaN) with `LINE`, and notes.

    Raises:
        InputError: The file cannot be read, a mapped column does not exist, or a required column is missing.
    """
    frame = read_cells(path)
    taken = set(frame.columns) | set(columns)
    small = {
        c: c.strip().lower() for c in frame.columns if c not in columns.values() and c.strip().lower() not in taken
    }
    once = {c: name for c, name in small.items() if name in COLUMNS and list(small.values()).count(name) == 1}
    frame = frame.rename(columns=once)  # "Seed" means seed
    frame = _renamed(frame, columns, str(path))
    notes: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()
    if wide is None and baseline in frame.columns and not {"strategy", "value"} & set(frame.columns):
        wide = "strategy"
        guessed = (
            f"read as one column per strategy (--wide strategy): there is a column {baseline}, but none named strategy "
            "or value",
        )
    if wide == "strategy" and not {"seed", "dataset", "strategy", "value"} & set(frame.columns):
        frame, more = _with_datasets(frame, str(path))
        guessed += more
    if wide is not None:
        frame, notes = _melted(frame, wide, str(path))
    notes = (*guessed, *notes)
    frame, value_notes = _only_number(frame)
    notes = (*notes, *value_notes)
    _complete(frame, str(path))
    for column in (c for c in NAMES if c in frame.columns):  # "margin " means margin
        frame[column] = frame[column].map({cell: cell.strip() for cell in frame[column].dropna().unique()})
    return frame.reset_index(drop=True), notes


def _only_number(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read the one column of numbers with another name as the values, which gives the metric its name."""
    if "value" in frame.columns or "strategy" not in frame.columns:
        return frame, ()
    others = [c for c in frame.columns if c not in COLUMNS and c != LINE]
    numbers = [c for c in others if pd.to_numeric(frame[c], errors="coerce").notna().any()]
    if len(numbers) != 1 or not {"seed", "dataset"} & set(frame.columns):
        return frame, ()
    name = numbers[0]
    named = frame.rename(columns={name: "value"})
    if "metric" not in named.columns:
        named["metric"] = name.strip()
    return named, (f"column {name} is read as the values (--column value={name})",)


def _complete(frame: pd.DataFrame, where: str) -> None:
    """Raise InputError if a required column is missing, or the table has no rows."""
    absent = [c for c in ("strategy", "value") if c not in frame.columns]
    unpaired = not {"seed", "dataset"} & set(frame.columns)
    present = ", ".join(c for c in frame.columns if c != LINE)
    fix = "name them with --column OURS=THEIRS; if the table is wide, add --wide budget or --wide strategy"
    if absent:
        absent += ["seed (or dataset, if data sets are the pairs)"] if unpaired else []
        raise InputError(
            Fault(where, "columns strategy, seed, budget, value", f"no {', '.join(absent)} among {present}", fix)
        )
    if unpaired:
        fix = (
            "name it with --column seed=THEIRS. Means alone cannot be tested, because their spread is unknown: ask the "
            "authors for the value of every seed"
        )
        raise InputError(
            Fault(where, "a column seed (or dataset, if data sets are the pairs)", f"neither among {present}", fix)
        )
    if frame.empty:
        raise InputError(Fault(where, "at least one row", "only a header"))


def _with_datasets(frame: pd.DataFrame, where: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Use the one column of text as data sets; without one, each row is a data set."""
    others = [c for c in frame.columns if c not in COLUMNS and c != LINE]
    text = [c for c in others if pd.to_numeric(frame[c], errors="coerce").isna().all() and frame[c].notna().any()]
    if len(text) > 1:
        fix = f"choose one, for example with --column dataset={text[0]}"
        raise InputError(Fault(where, "one column that names the data sets", ", ".join(text), fix))
    if text:
        return frame.rename(columns={text[0]: "dataset"}), (f"column {text[0]} names the data sets",)
    if "budget" in frame.columns:
        return frame, ()  # one mean curve per strategy: `_complete` reports the missing column
    numbered = frame.assign(dataset=[f"row {line}" for line in frame[LINE]])
    return numbered, (
        "no column names seeds or data sets: each row, named after its line in the file, is read as a data set",
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
    ]  # a mapping takes precedence over a column of the same name
    return frame.drop(columns=shadowed).rename(columns={theirs: ours for ours, theirs in columns.items()})


def _melted(frame: pd.DataFrame, wide: str, where: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Melt columns with other names into values of `wide`, one row per cell; empty cells stay."""
    if wide not in WIDE:
        raise InputError(unknown_name(f"{where}: --wide", wide, WIDE))
    taken = [c for c in (wide, "value") if c in frame.columns]
    if taken:
        raise InputError(
            Fault(
                f"{where}: --wide {wide}",
                f"no columns {wide} and value",
                f"{', '.join(taken)}",
                "omit --wide",
            )
        )
    own = [c for c in frame.columns if c in COLUMNS or c == LINE]
    spread = {c: c for c in frame.columns if c not in own}
    if wide in ("budget", "seed"):
        matches = {c: re.fullmatch(r"\D*?(\d+)(?:\.0+)?", c.strip()) for c in spread}
        spread = {c: match.group(1) for c, match in matches.items() if match}
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
