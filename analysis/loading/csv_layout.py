"""Find out how a CSV file is laid out: encoding, separator, comments, and where its rows begin."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SAMPLE: Final = 201
"""Rows that are looked at, the header among them."""
MARKS: Final = (",", ";", "\t", "|")
SPACES: Final = r"\s+"


@dataclass(frozen=True)
class Layout:
    """How a CSV file is laid out.

    Attributes:
        encoding: Encoding of the text, by its byte-order mark; UTF-8 without one.
        mark: Separator of cells: a comma, semicolon, tab, bar, or spaces.
        rows: Cells of the first rows; the first of them is the header, if there is one.
        skipped: Lines from 0 that hold no cells: blank lines above the table, comments, Excel's `sep=`.
        commented_header: Whether the header stands behind a #.
        quoted: Whether cells may stand in quotation marks, and so hold separators.
        notes: What was left out.
    """

    encoding: str
    mark: str
    rows: list[list[str]]
    skipped: list[int]
    commented_header: bool = False
    quoted: bool = False
    notes: tuple[str, ...] = ()

    def lines(self, rows: int, *, header: bool) -> NDArray[np.int64]:
        """Return the line numbers, from 1, of so many rows of the table."""
        own_line = header and not self.commented_header
        every = np.arange(rows + own_line + len(self.skipped))
        return np.delete(every, [s for s in self.skipped if s < len(every)])[own_line : rows + own_line] + 1


def layout_of(content: bytes) -> Layout:
    """Look at the beginning of a file, and find its comment lines.

    Raises:
        ValueError: The beginning is no text in its encoding.
    """
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    quoted, comments = _scan(content, encoding)
    above: list[int] = []
    texts: list[str] = []
    mark, header = None, None
    with io.TextIOWrapper(io.BytesIO(content), encoding=encoding, newline="") as file:
        for number, text in enumerate(file):
            stated = re.fullmatch(r"sep=(.)\s*", text) if not texts else None
            if number in comments:
                header = text if not texts else header
            elif stated:
                mark = stated[1]
                above.append(number)
            elif len(texts) == 1 and "|" in text and re.fullmatch(r"[\s|:+-]+", text):
                above.append(number)  # the line under the header of a Markdown table
            elif texts or text.strip():
                texts.append(text)
            else:
                above.append(number)
            if len(texts) >= SAMPLE:
                break
    mark = mark or _mark(texts)
    rows = [_split(text, mark) for text in texts if text.strip()]
    commented = _behind_comment(header, mark, rows) if header else None
    skipped = sorted({*above, *comments})
    if commented and commented[0] == "":  # the first column is called "#"
        first = min(comments)
        skipped = [s for s in skipped if s != first]
        return Layout(encoding, mark, [["#", *commented[1:]], *rows], skipped, False, quoted)
    count = len(comments) - bool(commented)
    notes = (f"{count} comment line{'s' * (count > 1)} (#) left out",) if count else ()
    return Layout(encoding, mark, [commented, *rows] if commented else rows, skipped, bool(commented), quoted, notes)


def _scan(data: bytes, encoding: str) -> tuple[bool, set[int]]:
    """Return whether there are quotation marks, and the lines that begin with #."""
    if encoding != "utf-8-sig":
        return True, set()
    quoted = b'"' in data
    if not (b"\n#" in data or data.removeprefix(codecs.BOM_UTF8).startswith(b"#")):
        return quoted, set()
    lines = data.removeprefix(codecs.BOM_UTF8).split(b"\n")
    return quoted, {number for number, line in enumerate(lines) if line.startswith(b"#")}


def _behind_comment(text: str, mark: str, rows: Sequence[Sequence[str]]) -> list[str] | None:
    """Return the names in the last comment above the table, if there is one for every column."""
    names = _split(text.lstrip("#"), mark)
    if not rows or len(names) != len(rows[0]) or len(names) < 3 or any(re.fullmatch(r"[\d.+-]+", n) for n in names):
        return None
    has_number = any(re.fullmatch(r"[+-]?\d*\.?\d+", cell) for cell in rows[0])
    return names if has_number else None


def _mark(texts: Sequence[str]) -> str:
    """Return the separator: the one that splits every row into most cells.

    Without comma, semicolon, tab and bar in the first row, it is spaces, if they split the first rows alike.
    """
    if not texts:
        return ","
    first, following = texts[0], next((t for t in texts[1:] if t.strip()), "")
    there = [mark for mark in MARKS if mark in first]
    if not there:
        return SPACES if len(first.split()) == len(following.split()) > 2 and "," not in following else ","
    sample = [text for text in texts[:21] if text.strip()]
    return max(there, key=lambda mark: min(len(_split(text, mark)) for text in sample))


def _split(text: str, mark: str) -> list[str]:
    if mark == SPACES:
        return text.split()
    return [cell.strip() for cell in next(csv.reader([text.rstrip("\r\n")], delimiter=mark, skipinitialspace=True), [])]
