"""Read a CSV or Parquet file as text cells, with the line number of each row."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from protocol.errors import Fault, InputError
from protocol.safe_read import read_named
from protocol.strict_json import loads as load_json

LINE: Final = "line of the file"
"""Column with the line number of each row."""
LARGEST_TABLE: Final = 2**28
"""Bytes of a table, also when it is unpacked."""
_LARGEST_SHEETS: Final = 2**26
_MOST_CELLS: Final = 10_000_000
_KINDS: Final = {
    **dict.fromkeys((".parquet", ".pq"), "Parquet table"),
    **dict.fromkeys((".xlsx", ".xlsm"), "Excel file"),
    **dict.fromkeys((".jsonl", ".ndjson"), "file of JSON lines"),
}


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
        content = read_named(path, LARGEST_TABLE)
        if path.suffix.lower() in {".jsonl", ".ndjson"}:
            return _json_lines(content)
        if path.suffix.lower() in {".xlsx", ".xlsm"}:
            return _excel(content)
        return _parquet(content) if parquet else _csv(content, path)
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
        kind = _KINDS.get(path.suffix.lower(), "CSV table in UTF-8")
        raise InputError(Fault(str(path), f"a readable {kind}", reason, "check the path and the file")) from None


def _json_lines(content: bytes) -> pd.DataFrame:
    """Read one JSON object per line; the first line is line 1."""
    rows, lines = [], []
    for number, line in enumerate(content.decode("utf-8-sig").splitlines(), 1):
        if line.strip():
            row = load_json(line)
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no JSON object")
            rows.append({str(k): None if v is None else str(v) for k, v in row.items()})
            lines.append(number)
    return pd.DataFrame(rows).astype("str").assign(**{LINE: lines}) if rows else pd.DataFrame({LINE: lines})


def _excel(content: bytes) -> pd.DataFrame:
    """Read the first sheet."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if (size := sum(member.file_size for member in archive.infolist())) > _LARGEST_SHEETS:
            raise ValueError(f"{size} bytes unpacked, of which at most {_LARGEST_SHEETS} are read")
    frame = pd.read_excel(io.BytesIO(content), dtype=str).astype("str")
    frame.columns = frame.columns.map(lambda name: str(name).strip())
    frame[LINE] = range(2, len(frame) + 2)
    return frame[frame.drop(columns=LINE).notna().any(axis=1)].reset_index(drop=True)


def _parquet(content: bytes) -> pd.DataFrame:
    """Read batch by batch: a few kB can hold billions of equal cells."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(content))
    _check_cells(file.metadata.num_rows * file.metadata.num_columns)
    batches, size = [], 0
    for batch in file.iter_batches(batch_size=4096):
        batches.append(batch)
        if (size := size + batch.nbytes) > LARGEST_TABLE:
            raise ValueError(f"more than {LARGEST_TABLE} bytes unpacked")
    raw: pd.DataFrame = pa.Table.from_batches(batches, schema=file.schema_arrow).to_pandas()
    frame = (
        raw.astype(object).where(raw.notna(), None).map(lambda cell: None if cell is None else str(cell)).astype("str")
    )
    frame.columns = frame.columns.map(str)
    return frame.assign(**{LINE: range(2, len(frame) + 2)})


def _check_cells(cells: int) -> None:
    if cells > _MOST_CELLS:
        raise ValueError(f"{cells} cells, of which at most {_MOST_CELLS} are read")


def _csv(content: bytes, path: Path) -> pd.DataFrame:
    _check_cells(sum(content.count(mark) for mark in (b",", b";", b"\t", b"|", b"\n")))
    above, mark, names = _header(content.decode("utf-8-sig"))
    twice = sorted({n for n in names if n and names.count(n) > 1})
    if twice:
        raise InputError(
            Fault(str(path), "each column once", f"{', '.join(twice)} more than once", "rename or drop one of them")
        )
    frame = pd.read_csv(
        io.BytesIO(content),
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


def _header(content: str) -> tuple[int, str, list[str]]:
    """Return the number of blank lines above the header, its separator and its names.

    The separator is a comma, unless the header has no comma but semicolons, tabs, bars or spaces.
    """
    above = 0
    file = io.StringIO(content, newline="")
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
