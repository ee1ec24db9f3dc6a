"""Convert typed rows of results to frames, Markdown, LaTeX and JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pandas as pd

from analysis.formatting import numbers, tables
from analysis.formatting.numbers import jsonable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Row = TypeVar("Row", bound=DataclassInstance)
else:
    Row = TypeVar("Row")

INTERVAL = "95 % interval"


@dataclass(frozen=True)
class Table:
    """Rows of plain values under named columns.

    Attributes:
        title: what the table shows, in one line.
        columns: names of the columns, in order.
        rows: one mapping per row, with a value for each column.
        text_columns: number of leading columns that hold text.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    text_columns: int

    def to_frame(self) -> pd.DataFrame:
        """Return a frame with one row per result and one column per field, unrounded."""
        return pd.DataFrame(list(self.rows), columns=list(self.columns))

    def to_list(self) -> list[dict[str, Any]]:
        """Return the rows for JSON; NaN and infinity become null."""
        return [{name: jsonable(value) for name, value in row.items()} for row in self.rows]

    def formatted(self) -> pd.DataFrame:
        """Return the cells as text for people; low and high become one interval."""
        shown = list(dict.fromkeys(map(_shown, self.columns)))
        frame = pd.DataFrame([_cells(row) for row in self.rows], columns=shown)
        return frame.rename(columns=lambda name: name.replace("_", " "))

    def to_markdown(self) -> str:
        """Return a pipe table."""
        return tables.render_markdown(self.formatted(), self.text_columns)

    def to_latex(self) -> str:
        """Return a booktabs table."""
        return tables.render_latex(self.formatted(), self.text_columns)


@dataclass(frozen=True)
class Rows(Generic[Row]):
    """Results of one kind.

    Attributes:
        kind: class of the rows, a frozen dataclass of plain values.
        title: what the rows show, in one line.
        rows: results in the study's order.
    """

    kind: type[Row]
    title: str
    rows: tuple[Row, ...]

    def table(self) -> Table:
        """Return the rows as a table with one column per field."""
        text = [field.type in ("str", str) for field in fields(self.kind)]
        leading = text.index(False) if False in text else len(text)
        names = tuple(field.name for field in fields(self.kind))
        rows = tuple({name: getattr(row, name) for name in names} for row in self.rows)  # plain values: nothing to copy
        return Table(self.title, names, rows, leading)

    def to_frame(self) -> pd.DataFrame:
        """Return a frame with one row per result and one column per field, unrounded."""
        return self.table().to_frame()

    def to_list(self) -> list[dict[str, Any]]:
        """Return the rows for JSON; NaN and infinity become null."""
        return self.table().to_list()

    def formatted(self) -> pd.DataFrame:
        """Return the cells as text for people; low and high become one interval."""
        return self.table().formatted()

    def to_markdown(self) -> str:
        """Return a pipe table."""
        return self.table().to_markdown()

    def to_latex(self) -> str:
        """Return a booktabs table."""
        return self.table().to_latex()


def _shown(name: str) -> str:
    return INTERVAL if name in ("low", "high") else name


def _cells(values: dict[str, Any]) -> dict[str, str]:
    number = numbers.signed if "difference" in values else numbers.plain
    cells = {_shown(name): _cell(name, value, number) for name, value in values.items()}
    if INTERVAL in cells:
        finite = math.isfinite(values["low"])
        cells[INTERVAL] = f"[{number(values['low'])}, {number(values['high'])}]" if finite else numbers.NOTHING
    return cells


def _cell(name: str, value: object, number: Callable[[float], str]) -> str:
    """Format one value: differences signed, p with four decimals."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if name in ("p", "p_adjusted"):
            return numbers.p_value(value)
        return number(value) if name == "difference" else numbers.plain(value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or numbers.NOTHING
    return str(value)
