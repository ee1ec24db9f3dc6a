"""Bring a table of text cells, tidy or wide, under the project's column names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import pandas as pd

from analysis.loading.curves import COLUMNS
from analysis.loading.field_names import other_names, suggested, understand_names
from analysis.loading.headerless import column_name, name_by_content
from analysis.loading.reading import Reading
from analysis.loading.sources import TableFiles, read_sources
from analysis.loading.summaries import named_like_a_summary
from analysis.loading.text_cells import LINE
from analysis.loading.wide import spread_wide
from protocol.errors import Fault, InputError, unknown_name

NAMES: Final = ("study", "protocol", "dataset", "regime", "strategy", "metric")
"""Columns of text."""


def read_table(files: TableFiles) -> Reading:
    """Read a table as text cells under the project's column names.

    Raises:
        InputError: A file cannot be read, a mapped column does not exist, or a required column is missing.
    """
    reading = read_sources(files)
    understand(reading, files.columns, files.wide, files.baseline)
    return reading


def understand(reading: Reading, columns: Mapping[str, str], wide: str | None, baseline: str) -> None:
    """Bring the columns of a reading under the project's names; on an error it keeps what was understood so far.

    Raises:
        InputError: As `read_table`.
    """
    _leave_out_index(reading, columns, baseline)
    taken = set(reading.frame.columns) | set(columns)
    named = [c for c in COLUMNS if c in reading.raw and c in reading.frame and c not in reading.uses]
    reading.use({c: c for c in named}, "by its name")
    small = {
        c: c.strip().lower()
        for c in reading.frame.columns
        if c not in columns.values() and c.strip().lower() not in taken
    }
    once = {c: name for c, name in small.items() if name in COLUMNS and list(small.values()).count(name) == 1}
    reading.rename(once, "by its name")  # "Seed" means seed
    _rename(reading, columns)
    if not reading.header and wide is None:
        reading.frame, roles = name_by_content(reading.frame, LINE, baseline, reading.where)
        reading.use(roles, "by its content")
        said = ", ".join(f"{column} is {role}" for column, role in roles.items() if role)
        reading.notes.append(f"understood by content: {said}" if said else "every column was named")
        if counts := [column for column, role in roles.items() if not role]:
            reading.notes.append(f"{', '.join(counts)} counts the rows or is empty: left out")
    if reading.header:
        understand_names(reading, columns, wide)
    spread_wide(reading, wide, baseline)
    _read_only_number(reading)
    _complete(reading)
    for column in (c for c in NAMES if c in reading.frame.columns):  # "margin " means margin
        cells = reading.frame[column]
        reading.frame[column] = cells.map({cell: cell.strip() for cell in cells.dropna().unique()})
    reading.frame = reading.frame.reset_index(drop=True)


def _leave_out_index(reading: Reading, columns: Mapping[str, str], baseline: str) -> None:
    """Leave out unnamed columns that count rows; one that names the strategies is the strategy."""
    for column in [c for c in reading.frame.columns if re.fullmatch(r"Unnamed: \d+|#", c)]:
        cells = reading.frame[column].dropna()
        if column in columns.values() or cells.empty:
            continue
        if baseline in set(cells.str.strip()) and "strategy" not in {*columns, *map(str.lower, reading.frame.columns)}:
            reading.rename({column: "strategy"}, f"it has no name, and names {baseline}")
            reading.notes.append(f"the column without a name holds {baseline}: it is read as the strategies")
        elif pd.to_numeric(cells, errors="coerce").notna().all():
            reading.leave_out([column], "it has no name: an index is no seed")
            reading.notes.append("a column of numbers without a name is left out: an index is no seed")


def _read_only_number(reading: Reading) -> None:
    """Read the one column of numbers with another name as the values, which gives the metric its name."""
    frame = reading.frame
    if "value" in frame.columns or "strategy" not in frame.columns:
        return
    others = [c for c in frame.columns if c not in COLUMNS and c != LINE and not other_names(c, frame.columns)]
    numbers = [c for c in others if pd.to_numeric(frame[c].str.rstrip(" %"), errors="coerce").notna().any()]
    if len(numbers) != 1 or not {"seed", "dataset"} & set(frame.columns):
        return
    name = numbers[0]
    reading.rename({name: "value"}, "the one column of numbers with another name")
    if "metric" not in reading.frame.columns:
        reading.frame["metric"] = name.strip()
    reading.notes.append(f"column {name} is read as the values (--column value={name})")


def _columns_of_numbers(frame: pd.DataFrame) -> str:
    """Return the columns of a table that has nothing but strategies and named columns of numbers, as published."""
    free = [c for c in frame.columns if c != LINE]
    others = [c for c in free if c != "strategy" and not c.startswith("Unnamed: ")]
    whole = "strategy" in free and not {"value", "seed", "dataset", "budget"} & set(free) and len(others) > 1
    numbers = whole and all(pd.to_numeric(frame[c], errors="coerce").notna().any() for c in others)
    spreads = [c for c in others if named_like_a_summary(c, "dataset")]
    return ", ".join(others[:3]) + (", …" if len(others) > 3 else "") if numbers and len(spreads) < 2 else ""


MEANS: Final = (
    "Means alone cannot be tested, because their spread is unknown: ask the authors for the value of every seed"
)
SHOWN: Final = 12
"""Columns that an error lists."""


def _complete(reading: Reading) -> None:
    """Raise InputError if a required column is missing, or the table has no rows."""
    frame, where = reading.frame, reading.where
    absent = [c for c in ("strategy", "value") if c not in frame.columns]
    unpaired = not {"seed", "dataset"} & set(frame.columns)
    own = [c for c in reading.raw.columns if c != LINE]
    there = own or [c for c in frame.columns if c != LINE]
    present = ", ".join([*there[:SHOWN], *(["…"] if len(there) > SHOWN else [])]) or "no column"
    if absent:
        absent += ["seed (or dataset, if data sets are the pairs)"] if unpaired else []
        fix = "name them with --column OURS=THEIRS; if the table is wide, add --wide budget or --wide strategy"
        likely = suggested(there, [c for c in ("strategy", "seed", "budget", "value") if c not in frame.columns])
        if sum(c.startswith("Unnamed: ") for c in there) * 2 > len(there):
            fix = "name every column in the first row, and remove rows above the header"
        if wide_of := _columns_of_numbers(frame):
            fix = f"name them with --column OURS=THEIRS; if {wide_of} are data sets, add --wide dataset"
        if unpaired and "strategy" in frame.columns and not wide_of:
            fix += f". {MEANS}"
        if absent == ["strategy"] and not likely:
            fix += "; if every file is one strategy, add --name-from file"
        fix = f"{fix}{'. Perhaps: ' + likely if likely else ''}"
        raise InputError(
            Fault(where, "columns strategy, seed, budget, value", f"no {', '.join(absent)} among {present}", fix)
        )
    if unpaired:
        likely = suggested(there, ["seed"])
        fix = f"name it with {likely or '--column seed=THEIRS'}. {MEANS}"
        raise InputError(
            Fault(where, "a column seed (or dataset, if data sets are the pairs)", f"neither among {present}", fix)
        )
    if frame.empty:
        raise InputError(Fault(where, "at least one row", "only a header"))


def _rename(reading: Reading, columns: Mapping[str, str]) -> None:
    there = [c for c in reading.frame.columns if c != LINE]
    if not reading.header:
        columns = {ours: column_name(int(n)) if n.isdigit() else n for ours, n in columns.items()}
    where = reading.where
    faults = [
        unknown_name(f"{where}: --column {ours}={theirs}", ours, COLUMNS)
        for ours, theirs in columns.items()
        if ours not in COLUMNS
    ]
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
    reading.leave_out(shadowed, "--column names another")
    reading.rename({theirs: ours for ours, theirs in columns.items()}, "by --column")
