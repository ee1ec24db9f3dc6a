"""Recognise tables whose first row is data, and understand their columns by content.

Nothing is guessed where two readings are possible: the error then names the columns and what could be said about them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import pandas as pd

from analysis.loading.curves import COLUMNS
from analysis.loading.metric_direction import direction_of
from protocol.errors import Fault, InputError

NUMBER: Final = re.compile(r"[+-]?(\d+([.,]\d*)*|[.,]\d+)([eE][+-]?\d+)?\s*%?")
SAMPLE: Final = 200
"""Rows that are looked at to decide whether the first one is a header."""
KNOWN: Final = frozenset(COLUMNS) | frozenset(
    "method algorithm acquisition query step round run trial fold rep labels labelled labeled acc accuracy".split()  # noqa: SIM905
)
"""Words of headers; a first row with one of them is a header, unless the column repeats it."""
MOST_SEEDS: Final = 1000


def column_name(place: int) -> str:
    """Return the name of a column without one; places count from 1."""
    return f"column {place}"


def first_row_is_data(rows: Sequence[Sequence[str]], named: Collection[str] = (), *, wide: bool = False) -> bool:
    """Return whether a table has no header.

    A header has a word above numbers, a known word, or whole increasing numbers (budgets, seeds) above fractions.

    Args:
        rows: Cells of the first rows of the file.
        named: Names of columns that the user gave: if the first row has one, it is a header.
        wide: Whether the user says that the first row names budgets, strategies, seeds, ….

    >>> first_row_is_data([["random", "0", "100", "0.51"], ["random", "0", "200", "0.6"]])
    True
    >>> first_row_is_data([["name", "100", "200"], ["random", "0.51", "0.6"]])
    False
    """
    if len(rows) < 2 or wide:
        return False
    first = [cell.strip() for cell in rows[0]]
    if set(first) & {n for n in named if not n.isdigit()} or first[:1] == [""]:
        return False
    numbers = [place for place, cell in enumerate(first) if NUMBER.fullmatch(cell)]
    if not numbers:
        return False
    below = [[cell.strip() for cell in row] for row in rows[1 : SAMPLE + 1] if any(cell.strip() for cell in row)]
    columns = [[row[place] for row in below if place < len(row) and row[place]] for place in range(len(first))]
    for cell, column in zip(first, columns, strict=True):
        if cell.lower() in KNOWN and cell not in column:  # a metric's name may be data
            return False
        if cell and not NUMBER.fullmatch(cell) and column and all(NUMBER.fullmatch(c) for c in column):
            return False
    return not _counts_above_fractions([first[p] for p in numbers], [columns[p] for p in numbers])


def _counts_above_fractions(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    whole = [int(cell) for cell in first if cell.isdigit()]
    rising = len(whole) == len(first) >= 2 and all(a < b for a, b in itertools.pairwise(whole))
    return rising and all(any(not c.lstrip("+-").isdigit() for c in column) for column in columns)


def name_by_content(frame: pd.DataFrame, line: str, baseline: str, where: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Give the columns of a table without a header their roles.

    Args:
        frame: Text cells; columns that already have a role are named by it, the others by `column_name`.
        line: Column with line numbers, which is no column of the file.
        baseline: Name of the baseline strategy.
        where: Name of the table in error messages.

    Returns:
        The table with roles as names, and column -> role ("" for a count of rows, which is left out).

    Raises:
        InputError: Which column is which cannot be told; asks for `--column ROLE=N`.
    """
    given = {c for c in frame.columns if c in COLUMNS}
    free = [c for c in frame.columns if c not in given and c != line]
    empty = [c for c in free if frame[c].isna().all()]
    numeric = {c: pd.to_numeric(frame[c], errors="coerce") for c in free if c not in empty}
    text = [c for c, n in numeric.items() if n[frame[c].notna()].isna().mean() > 0.5]
    numbers = {c: n.dropna() for c, n in numeric.items() if c not in text}
    roles: dict[str, str] = dict.fromkeys(empty, "")
    counts = [c for c in list(numbers)[:1] if _counts_rows(numbers[c], len(frame)) and len(numbers) > 1]
    roles |= dict.fromkeys(counts, "")
    faults = [
        *_texts(frame, text, given, baseline, roles),
        *_numbers({c: n for c, n in numbers.items() if c not in counts}, given, roles),
    ]
    if faults:
        known = ", ".join(f"{c} is {r}" for c, r in roles.items() if r)
        seen = "; ".join(f"{c}: {_cells(frame[c])}" for c in free if c not in empty)
        understood = f" ({known})" if known else ""
        raise InputError(
            Fault(
                f"{where}: no header, the first row holds data",
                f"columns that can be told apart by their content{understood}",
                f"{'; '.join(problem for problem, _ in faults)}. The columns: {seen}",
                f"say which is which, for example {' '.join(dict.fromkeys(fix for _, fix in faults))}, "
                "or write a header",
            )
        )
    dropped = [c for c, role in roles.items() if not role]
    return frame.drop(columns=dropped).rename(columns={c: r for c, r in roles.items() if r}), roles


def _texts(
    frame: pd.DataFrame, text: list[str], given: Collection[str], baseline: str, roles: dict[str, str]
) -> list[tuple[str, str]]:
    """Give strategy, metric and dataset to columns of text; return what cannot be decided, with an option."""
    free = list(text)
    if "strategy" not in given:
        with_baseline = [c for c in free if baseline in set(frame[c].dropna().str.strip())]
        found = with_baseline or free
        if len(found) != 1:
            option = f"--column strategy={_place(found[0]) if found else 'N'}"
            if not found:
                return [("no column of text names the strategies", option)]
            return [(f"{_names(found)} could each name the strategies", option)]
        roles[found[0]] = "strategy"
        free.remove(found[0])
    if "metric" not in given:
        metrics = [c for c in free if all(direction_of(str(m)).basis == "name" for m in frame[c].dropna().unique())]
        if len(metrics) == 1:
            roles[metrics[0]] = "metric"
            free.remove(metrics[0])
    if len(free) == 1 and "dataset" not in given:
        roles[free[0]] = "dataset"
    elif free:
        return [(f"{_names(free)} hold further text", f"--column dataset={_place(free[0])}")]
    return []


def _numbers(numbers: Mapping[str, pd.Series], given: Collection[str], roles: dict[str, str]) -> list[tuple[str, str]]:
    """Give value, seed and budget to columns of numbers; return what cannot be decided, with options."""
    whole = [c for c, n in numbers.items() if len(n) and bool((n % 1 == 0).all())]
    fractions = [c for c in numbers if c not in whole]
    problems = []
    if "value" not in given:
        if len(fractions) == 1:
            roles[fractions.pop()] = "value"
        else:
            found = fractions or list(numbers)
            one = f"{_names(found)} could each hold the values" if found else "no column of numbers holds the values"
            problems.append((one, f"--column value={_place(found[-1]) if found else 'N'}"))
            fractions = []
    if fractions:
        problems.append((f"{_names(fractions)} hold further fractions", f"--column budget={_place(fractions[0])}"))
    if problems:
        return problems
    needed = [role for role in ("seed", "budget") if role not in given]
    running = [c for c in whole if _consecutive(numbers[c])]
    if not whole:
        return []
    if len(whole) == len(needed) == 1:
        roles[whole[0]] = needed[0]
    elif "seed" in needed and len(running) == 1 and len(whole) <= len(needed):
        roles[running[0]] = "seed"
        roles |= {c: "budget" for c in whole if c != running[0]}
    else:
        either = " or ".join(needed) or "something else"
        options = " ".join(f"--column {role}={_place(c)}" for role, c in zip(needed, whole, strict=False))
        if len(whole) == 1 < len(needed):
            options = " or ".join(f"--column {role}={_place(whole[0])}" for role in needed)
        return [(f"{_names(whole)} could {'each ' * (len(whole) > 1)}be {either}", options or "a header")]
    return []


def _consecutive(numbers: pd.Series) -> bool:
    """Return whether the numbers are 0, 1, 2, … or 1, 2, 3, …: seeds, unless two columns are."""
    unique = sorted(set(numbers))
    return unique[0] in (0, 1) and unique == list(range(int(unique[0]), int(unique[0]) + len(unique[:MOST_SEEDS])))


def _counts_rows(numbers: pd.Series, rows: int) -> bool:
    return len(numbers) == rows > 2 and numbers.iloc[0] in (0, 1) and bool((numbers.diff().dropna() == 1).all())


def _cells(cells: pd.Series) -> str:
    names = [str(c) for c in cells.dropna().unique()[:4]]
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _place(column: str) -> str:
    return column.rsplit(" ", 1)[-1]


def _names(columns: Sequence[str]) -> str:
    return ", ".join(columns[:-1]) + " and " + columns[-1] if len(columns) > 1 else "".join(columns)
