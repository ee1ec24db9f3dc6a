"""Read a file of any supported kind as text cells, with the line number of each row."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from analysis.loading.csv_layout import Layout, layout_of
from analysis.loading.headerless import column_name, first_row_is_data
from analysis.loading.number_style import plain_numbers
from protocol.errors import Fault, InputError, unknown_name
from protocol.safe_read import read_named
from protocol.strict_json import loads as load_json

LINE: Final = "line of the file"
"""Column with the line number of each row."""
PARQUET: Final = frozenset({".parquet", ".pq"})
JSON_LINES: Final = frozenset({".jsonl", ".ndjson"})
EXCEL: Final = frozenset({".xlsx", ".xlsm"})
OTHER: Final = {
    ".xls": "save the sheet as .xlsx or CSV",
    ".ods": "save the sheet as .xlsx or CSV",
    ".json": "write one JSON object per line (.jsonl), or a CSV table",
    ".npz": "write a CSV table",
    ".npy": "write a CSV table",
    ".pkl": "write a CSV table",
    ".gz": "unpack it first",
    ".zip": "unpack it first",
}
"""Kinds of files that are not read, and what to do."""
LARGEST_TABLE: Final = 2**28
"""Bytes of a table, also when it is unpacked."""
_LARGEST_SHEETS: Final = 2**26
_MOST_CELLS: Final = 10_000_000
_MOST_CSV_CELLS: Final = 30_000_000
"""Enough for 2,000,000 rows of fifteen columns, if they are in lines of at most `_LONGEST_LINE`."""
_LONGEST_LINE: Final = 2**20
_KINDS: Final = {
    **dict.fromkeys(PARQUET, "Parquet table"),
    **dict.fromkeys(EXCEL, "Excel file"),
    **dict.fromkeys(JSON_LINES, "file of JSON lines"),
}


@dataclass(frozen=True)
class Cells:
    """Text cells of a file (missing: NaN) with `LINE`, what was said about it, and whether it names its columns."""

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    header: bool = True


def read_cells(path: Path, sheet: str | None = None, named: Collection[str] = (), *, wide: bool = False) -> Cells:
    """Read text cells under the file's own column names, plus `LINE`.

    Rows without any cell are left out. A separator at the end of every row is not a column. An unnamed first column
    holds row names, as R writes them. Columns of a file without a header are called "column 1", "column 2", ….

    Args:
        path: .parquet, .pq, .jsonl, .ndjson, .xlsx or .xlsm; anything else is read as CSV.
        sheet: Which sheet of an Excel file; needed if several have cells.
        named: Names of columns that the user gave; a first row that has one of them is a header.
        wide: Whether the user says that the header names budgets, strategies, ….

    Raises:
        InputError: The file cannot be read, or two columns have the same name.
    """
    kind = path.suffix.lower()
    if sheet is not None and kind not in EXCEL:
        raise InputError(Fault("--sheet", "an Excel file (.xlsx)", str(path), "leave out --sheet"))
    if kind in OTHER and path.is_file():
        raise InputError(Fault(str(path), "a CSV, Parquet, JSON lines or Excel (.xlsx) table", kind, OTHER[kind]))
    try:
        content = read_named(path, LARGEST_TABLE)
        if kind in JSON_LINES:
            return Cells(_json_lines(content))
        if kind in EXCEL:
            return _excel(content, path, sheet, named, wide)
        return Cells(_parquet(content)) if kind in PARQUET else _csv(content, path, named, wide)
    except ImportError:
        if kind in EXCEL:
            found, fix = "not installed", "run `uv sync --extra excel`, or save the sheet as CSV"
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
        reason = _reason(error)
        expected = _KINDS.get(kind, "CSV table in UTF-8")
        raise InputError(Fault(str(path), f"a readable {expected}", reason, "check the path and the file")) from None


def _reason(error: Exception) -> str:
    """Return in words why a file cannot be read."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnicodeError):
        return "characters in another encoding: save the file as UTF-8 (in Excel: CSV UTF-8)"
    if isinstance(error, pd.errors.EmptyDataError):
        return "an empty file"
    return str(error).removeprefix("Error tokenizing data. C error: ").strip()


def _json_lines(content: bytes) -> pd.DataFrame:
    """Read one JSON object per line; the first line is line 1."""
    rows, lines = [], []
    for number, line in enumerate(content.decode("utf-8-sig").splitlines(), 1):
        if line.strip():
            try:
                row = load_json(line)
            except ValueError as error:
                raise ValueError(f"line {number} is no JSON: {error}") from None
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no JSON object")
            rows.append({str(k): None if v is None else str(v) for k, v in row.items()})
            lines.append(number)
    return pd.DataFrame(rows).astype("str").assign(**{LINE: lines}) if rows else pd.DataFrame({LINE: lines})


def _excel(content: bytes, path: Path, sheet: str | None, named: Collection[str], wide: bool) -> Cells:
    """Read the chosen sheet, or the only one with cells."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if (size := sum(member.file_size for member in archive.infolist())) > _LARGEST_SHEETS:
            raise ValueError(f"{size} bytes unpacked, of which at most {_LARGEST_SHEETS} are read")
        formulas = any(b"<f" in archive.read(m) for m in archive.namelist() if m.startswith("xl/worksheets/"))
    with pd.ExcelFile(io.BytesIO(content)) as book:
        names = [str(name) for name in book.sheet_names]
        if sheet is not None and sheet not in names:
            raise InputError(unknown_name(f"{path}: --sheet", sheet, names))
        wanted = [sheet] if sheet is not None else names
        raws = {name: book.parse(name, dtype=str, header=None).astype("str") for name in wanted}
    if formulas:
        _refuse_formulas(content, path, wanted)
    filled = {name: raw for name, raw in raws.items() if raw.notna().any(axis=None)}
    if len(filled) > 1:
        fix = f"choose one, for example with --sheet {next(iter(filled))!r}"
        raise InputError(Fault(str(path), "one sheet with cells, or a choice", ", ".join(filled), fix))
    if not filled:
        raise InputError(Fault(str(path), "a sheet with cells", f"only empty sheets: {', '.join(wanted)}"))
    name, raw = next(iter(filled.items()))
    raw[LINE] = range(1, len(raw) + 1)
    raw = raw[raw.drop(columns=LINE).notna().any(axis=1)].reset_index(drop=True)
    rows = raw.drop(columns=LINE).head(50).fillna("").to_numpy().tolist()
    header = not first_row_is_data(rows, named, wide=wide)
    titles = [
        str(cell).strip() or f"Unnamed: {place}" if header else column_name(place + 1)
        for place, cell in enumerate(rows[0])
    ]
    _refuse_twice(path, titles)
    raw.columns = pd.Index([*titles, LINE])
    frame = (raw.iloc[1:] if header else raw).reset_index(drop=True)
    notes = (f"sheet {name} of {path.name} is read",) if len(names) > 1 else ()
    return Cells(_without_empty_columns(frame), notes, header)


def _refuse_formulas(content: bytes, path: Path, sheets: Sequence[str]) -> None:
    """Refuse formulas whose results the file does not hold, which would read as empty cells.

    Raises:
        InputError: The first of them in each sheet, and their number.
    """
    from openpyxl import load_workbook

    faults = []
    book = load_workbook(io.BytesIO(content), read_only=True)
    for name in sheets:
        with_results = load_workbook(io.BytesIO(content), read_only=True, data_only=True)[name]
        both = zip(book[name].iter_rows(), with_results.iter_rows(), strict=True)
        cells = [
            cell
            for row, results in both
            for cell, result in zip(row, results, strict=True)
            if cell.data_type == "f" and result.value is None
        ]
        if cells:
            more = f", and {len(cells) - 1} more" if len(cells) > 1 else ""
            text = cells[0].value if isinstance(cells[0].value, str) else "of several cells"
            found = f"a formula whose result is not stored: {text}{more}"
            fix = "open the file in Excel or LibreOffice and save it, which stores results; or save the sheet as CSV"
            faults.append(Fault(f"{path}: {name}: {cells[0].coordinate}", "a value in every cell", found, fix))
    book.close()
    if faults:
        raise InputError(faults)


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


def _check_cells(cells: int, most: int = _MOST_CELLS) -> None:
    if cells > most:
        raise ValueError(f"{cells} cells, of which at most {most} are read")


def _has_long_line(content: bytes) -> bool:
    """Return whether a line is longer than `_LONGEST_LINE` bytes; up to twice that may be missed."""
    starts = range(0, len(content) - _LONGEST_LINE, _LONGEST_LINE)
    return any(content.find(b"\n", start, start + _LONGEST_LINE) < 0 for start in starts)


def _csv(content: bytes, path: Path, named: Collection[str], wide: bool) -> Cells:
    cells = sum(content.count(mark) for mark in (b",", b";", b"\t", b"|", b"\n"))
    _check_cells(cells, _MOST_CELLS if _has_long_line(content) else _MOST_CSV_CELLS)
    layout = layout_of(content)
    header = not first_row_is_data(layout.rows, named, wide=wide)
    if header:
        _refuse_twice(path, layout.rows[0] if layout.rows else [])
    frame = _read_csv(content, path, layout, header)
    notes = layout.notes
    if layout.mark != "," or layout.quoted:
        frame, more = plain_numbers(frame, LINE)
        notes += more
    return Cells(_without_empty_columns(frame), notes, header)


def _read_csv(content: bytes, path: Path, layout: Layout, header: bool) -> pd.DataFrame:
    frame = pd.read_csv(
        io.BytesIO(content),
        dtype=str,
        encoding=layout.encoding,
        skipinitialspace=True,
        sep=layout.mark,
        skiprows=layout.skipped if header else [*layout.skipped],
        skip_blank_lines=False,
        index_col=None,
        header=0 if header and not layout.commented_header else None,
        names=layout.rows[0] if header and layout.commented_header else None,
    )
    if not header:
        frame.columns = pd.Index([column_name(place + 1) for place in range(len(frame.columns))])
    frame.columns = frame.columns.map(str)
    if not isinstance(
        frame.index, pd.RangeIndex
    ):  # rows have more cells than the header: pandas used the first ones as row names
        frame = _one_cell_more(frame, str(path))
    cells = [c for c in frame.columns if c != LINE]
    frame[LINE] = layout.lines(len(frame), header=header)
    return frame[frame[cells].notna().any(axis=1)].reset_index(drop=True)


def _without_empty_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop unnamed columns without cells, as separators at the end of every row leave them."""
    unnamed = [c for c in frame.columns if c.startswith(("Unnamed: ", "column ")) and frame[c].isna().all()]
    return frame.drop(columns=unnamed)


def _refuse_twice(path: Path, names: list[str]) -> None:
    twice = sorted({n for n in names if n and names.count(n) > 1})
    if twice:
        raise InputError(
            Fault(str(path), "each column once", f"{', '.join(twice)} more than once", "rename or drop one of them")
        )


def _one_cell_more(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    count = len(frame.columns)
    if isinstance(frame.index, pd.MultiIndex):
        expected, more = f"{count} cell{'s' * (count > 1)} in a row, as in the header", frame.index.nlevels
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


def numbers(cells: pd.Series) -> pd.Series:
    """Convert text cells, most of which repeat, to numbers; what is not a number becomes NaN."""
    codes, distinct = pd.factorize(cells)
    found = pd.to_numeric(pd.Series(distinct, dtype=object), errors="coerce").to_numpy()
    if (codes < 0).any() or not len(found):  # missing cells have code -1, which takes the last place
        found = np.append(found.astype(np.float64), np.nan)
    return pd.Series(found[codes], index=cells.index)
