"""Read a CSV or Parquet file as text cells, with the line number of each row."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from protocol.errors import Fault, InputError

LINE: Final = "line of the file"
"""Column with the line number of each row."""


def read_cells(path: Path) -> pd.DataFrame:
    """Read text cells under the file's own column names, plus `LINE`.

    Rows without any cell are left out. A separator at the end of every row is not a column. An unnamed first column
    holds row names, as R writes them.

    Returns:
        Text cells; missing ones are NaN.

    Raises:
        InputError: The file cannot be read, or two columns have the same name.
    """
    parquet = path.suffix.lower() in {".parquet", ".pq"}
    try:
        if path.suffix.lower() in {".jsonl", ".ndjson"}:
            return _json_lines(path)
        if path.suffix.lower() in {".xlsx", ".xlsm"}:
            return _excel(path)
        return _parquet(path) if parquet else _csv(path)
    except ImportError:
        if not parquet:
            found, fix = "not installed", "install openpyxl, or save the sheet as CSV"
            raise InputError(Fault(str(path), "openpyxl, which reads Excel files", found, fix)) from None
        raise InputError(
            Fault(
                str(path),
                "pyarrow, which reads Parquet",
                "not installed",
                "run `uv sync --extra parquet`, or save the table as CSV",
            )
        ) from None
    except (
        zipfile.BadZipFile,
        KeyError,
        OSError,
        ValueError,
        csv.Error,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
    ) as error:  # pyarrow's errors are subclasses of these
        if isinstance(error, InputError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        kind = "Parquet table" if parquet else "CSV table in UTF-8"
        raise InputError(Fault(str(path), f"a readable {kind}", reason, "check the path and the file")) from None


def _json_lines(path: Path) -> pd.DataFrame:
    """Read one JSON object per line; the first line is line 1."""
    rows, lines = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no JSON object")
            rows.append({str(k): None if v is None else str(v) for k, v in row.items()})
            lines.append(number)
    return pd.DataFrame(rows).astype("str").assign(**{LINE: lines}) if rows else pd.DataFrame({LINE: lines})


def _excel(path: Path) -> pd.DataFrame:
    """Read the first sheet."""
    frame = pd.read_excel(path, dtype=str).astype("str")
    frame.columns = frame.columns.map(lambda name: str(name).strip())
    frame[LINE] = range(2, len(frame) + 2)
    return frame[frame.drop(columns=LINE).notna().any(axis=1)].reset_index(drop=True)


def _parquet(path: Path) -> pd.DataFrame:
    raw = pd.read_parquet(path)
    frame = (
        raw.astype(object).where(raw.notna(), None).map(lambda cell: None if cell is None else str(cell)).astype("str")
    )
    frame.columns = frame.columns.map(str)
    return frame.assign(**{LINE: range(2, len(frame) + 2)})


def _csv(path: Path) -> pd.DataFrame:
    above, mark, names = _header(path)
    twice = sorted({n for n in names if n and names.count(n) > 1})
    if twice:
        raise InputError(
            Fault(str(path), "each column once", f"{', '.join(twice)} more than once", "rename or drop one of them")
        )
    frame = pd.read_csv(
        path,
        dtype=str,
        encoding="utf-8-sig",
        skipinitialspace=True,
        sep=mark,
        skiprows=above,
        skip_blank_lines=False,
        index_col=None,
    )
    frame.columns = frame.columns.map(str)
    if not isinstance(
        frame.index, pd.RangeIndex
    ):  # rows have more cells than the header: pandas used the first ones as row names
        frame = _one_cell_more(frame, str(path))
    cells = [c for c in frame.columns if c != LINE]
    frame[LINE] = range(above + 2, above + 2 + len(frame))
    return frame[frame[cells].notna().any(axis=1)].reset_index(drop=True)


def _one_cell_more(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    if isinstance(frame.index, pd.MultiIndex):
        expected, more = f"{len(frame.columns)} cells in a row, as in the header", frame.index.nlevels
        raise InputError(
            Fault(
                where,
                expected,
                f"{more} more",
                "name every column in the first line, and remove lines above the header",
            )
        )
    if frame.iloc[:, -1].notna().any():
        return frame.reset_index(drop=True)
    names = list(frame.columns)
    moved = frame.iloc[:, :-1].reset_index()
    moved.columns = pd.Index(names)
    return moved.astype("str")


def _header(path: Path) -> tuple[int, str, list[str]]:
    """Return the number of blank lines above the header, its separator and its names.

    The separator is a comma, unless the header has no comma but semicolons, tabs, bars or spaces.
    """
    above = 0
    with open(path, encoding="utf-8-sig", newline="") as file:
        for text in file:
            if text.strip():
                break
            above += 1
        else:
            return 0, ",", []
        following = next(file, "")
    spaced = len(text.split()) == len(following.split()) > 2 and "," not in following
    mark = next((mark for mark in (",", ";", "\t", "|") if mark in text), r"\s+" if spaced else ",")
    if mark == r"\s+":
        return above, mark, text.split()
    return above, mark, [name.strip() for name in next(csv.reader([text], delimiter=mark, skipinitialspace=True))]


def numbers(cells: pd.Series) -> pd.Series:
    """Convert text cells, most of which repeat, to numbers; what is not a number becomes NaN."""
    codes, distinct = pd.factorize(cells)
    found = pd.to_numeric(pd.Series(distinct, dtype=object), errors="coerce").to_numpy()
    if (codes < 0).any() or not len(found):  # missing cells have code -1, which takes the last place
        found = np.append(found.astype(np.float64), np.nan)
    return pd.Series(found[codes], index=cells.index)
