"""Read decimal commas and thousands separators, where a file leaves no doubt which is which."""

from __future__ import annotations

import re
from typing import Final

import pandas as pd

COMMA: Final = re.compile(
    r"[+-]?(0?,\d+|\d{4,},\d+|[1-9]\d{0,2},(\d{1,2}|\d{4,})|\d{1,3}(\.\d{3})+,\d+)([eE][+-]?\d+)?"
)
"""Numbers whose comma can only be a decimal comma: 0,812 or 81,2 or 1.234,5."""
POINT: Final = re.compile(
    r"[+-]?(0?\.\d+|\d{4,}\.\d+|[1-9]\d{0,2}\.(\d{1,2}|\d{4,})|\d{1,3}(,\d{3})+\.\d+)([eE][+-]?\d+)?"
)
"""Numbers whose point can only be a decimal point."""
EITHER: Final = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
"""1,234 is a whole number or a fraction."""
GROUPED: Final = re.compile(r"[+-]?[1-9]\d{0,2}(['’\u00a0\u202f ]\d{3})+")  # what spreadsheets write
DOTTED: Final = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
"""1.234 is 1234 in a file of decimal commas."""
MOST: Final = 20_000
"""First rows that are looked at: a way of writing numbers shows in them."""


def plain_numbers(frame: pd.DataFrame, line: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rewrite numbers of other spellings as plain numbers with a decimal point.

    A comma is a decimal comma if the file has numbers that allow nothing else (0,812) and none with a decimal point;
    it separates thousands if the file has decimal points. Otherwise the cells stay as they are.

    Args:
        frame: Text cells.
        line: Column with line numbers, which is left alone.

    Returns:
        The table, and what was rewritten.
    """
    ends = pd.concat([frame.head(MOST), frame.iloc[MOST:].tail(MOST // 10)])
    cells = {c: ends[c].dropna().unique() for c in frame.columns if c != line}
    odd = {c: [str(cell).strip() for cell in own] for c, own in cells.items() if _has_marks(own)}
    if not odd:
        return frame, ()
    comma = [c for c, own in odd.items() if any(COMMA.fullmatch(cell) for cell in own)]
    point = any(POINT.fullmatch(str(cell).strip()) for own in cells.values() for cell in own)
    notes = []
    out = frame
    if comma and not point:
        dotted = [c for c, own in cells.items() if any(DOTTED.fullmatch(str(cell).strip()) for cell in own)]
        changed = [c for c in cells if c in (*odd, *dotted) and _is_numeric([str(cell).strip() for cell in cells[c]])]
        out = out.assign(**{c: _mapped(out[c], _from_comma) for c in changed})
        notes.append(f"numbers have a decimal comma: 0,5 is read as 0.5 (columns {', '.join(changed)})")
        odd = {c: own for c, own in odd.items() if c not in changed}
    grouped = [
        c
        for c, own in odd.items()
        if any(GROUPED.fullmatch(cell) or (point and not comma and EITHER.fullmatch(cell)) for cell in own)
    ]
    if grouped:
        out = out.assign(**{c: _mapped(out[c], lambda cell: _without_groups(cell, comma=point)) for c in grouped})
        notes.append(f"separators of thousands are left out: 1,000 is read as 1000 (columns {', '.join(grouped)})")
    return out, tuple(notes)


def _has_marks(cells: object) -> bool:
    return any(not cell.isascii() or any(mark in cell for mark in ",' ") for cell in map(str, cells))  # type: ignore[call-overload]


def _is_numeric(cells: list[str]) -> bool:
    """Return whether most cells are numbers in one of the spellings; names with commas stay."""
    number = re.compile(r"[+-]?[\d.,]+([eE][+-]?\d+)?")
    return sum(bool(number.fullmatch(cell)) for cell in cells) > len(cells) / 2


def _mapped(cells: pd.Series, rewrite: object) -> pd.Series:
    table = {cell: rewrite(str(cell)) for cell in cells.dropna().unique()}  # type: ignore[operator]
    return cells.map(table)


def _from_comma(cell: str) -> str:
    text = cell.strip()
    if re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?", text):
        text = text.replace(".", "")
    return text.replace(",", ".") if re.fullmatch(r"[+-]?\d*,\d+([eE][+-]?\d+)?", text) else text


def _without_groups(cell: str, *, comma: bool) -> str:
    text = cell.strip()
    if GROUPED.fullmatch(text):
        return re.sub(r"[^\d+-]", "", text)
    return text.replace(",", "") if comma and re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", text) else text
