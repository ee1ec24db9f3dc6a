"""Typed rows of results and the one way in which all of them become frames, Markdown, LaTeX and JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
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
class Rows(Generic[Row]):
    """Results of one kind.

    Attributes:
        kind: the class of the rows, which are frozen dataclasses of plain values.
        title: what they are, in a line.
        rows: in the study's order.
    """

    kind: type[Row]
    title: str
    rows: tuple[Row, ...]

    def to_frame(self) -> pd.DataFrame:
        """A row each, a column per field, unrounded."""
        return pd.DataFrame([asdict(row) for row in self.rows], columns=[f.name for f in fields(self.kind)])

    def to_list(self) -> list[dict[str, Any]]:
        """For JSON: NaN and infinity become null."""
        return [{name: jsonable(value) for name, value in asdict(row).items()} for row in self.rows]

    def formatted(self) -> pd.DataFrame:
        """Text cells as people read them; low and high become one interval."""
        frame = pd.DataFrame(
            [_cells(row) for row in self.rows], columns=list(dict.fromkeys(_shown(f.name) for f in fields(self.kind)))
        )
        return frame.rename(columns=lambda name: name.replace("_", " "))

    def to_markdown(self) -> str:
        """A pipe table."""
        return tables.render_markdown(self.formatted(), self._text())

    def to_latex(self) -> str:
        """A booktabs table."""
        return tables.render_latex(self.formatted(), self._text())

    def _text(self) -> int:
        """How many leading columns are text."""
        numbers = [f.type not in ("str", str) for f in fields(self.kind)]
        return numbers.index(True) if True in numbers else len(numbers)


def _shown(name: str) -> str:
    return INTERVAL if name in ("low", "high") else name


def _cells(row: DataclassInstance) -> dict[str, str]:
    values = asdict(row)
    number = numbers.signed if "difference" in values else numbers.plain
    cells = {_shown(name): _cell(name, value, number) for name, value in values.items()}
    if INTERVAL in cells:
        known = math.isfinite(values["low"])
        cells[INTERVAL] = f"[{number(values['low'])}, {number(values['high'])}]" if known else numbers.NOTHING
    return cells


def _cell(name: str, value: object, number: Callable[[float], str]) -> str:
    """One value as text: differences signed, p with four decimals."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if name in ("p", "p_adjusted"):
            return numbers.p_value(value)
        return number(value) if name == "difference" else numbers.plain(value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or numbers.NOTHING
    return str(value)
