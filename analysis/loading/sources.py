"""Read one table, or several files as one table: one strategy per file or folder, or one run per file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from analysis.loading.curves import COLUMNS
from analysis.loading.exports import DOWNLOAD, is_tensorboard, read_tensorboard, read_wandb
from analysis.loading.reading import Reading
from analysis.loading.run_names import split_run, without_shared_words
from analysis.loading.text_cells import EXCEL, JSON_LINES, LINE, PARQUET, read_cells
from analysis.loading.wide import seeds_in
from protocol.errors import Fault, InputError
from protocol.safe_read import LINK
from protocol.spec.study import BASELINE

NameFrom = Literal["file", "folder"]
KINDS: Final = frozenset({".csv", ".tsv", ".txt"}) | PARQUET | JSON_LINES | EXCEL
"""Files of a folder that are tables."""
SHOWN: Final = 3


def together(paths: Sequence[Path], name_from: NameFrom | None) -> bool:
    """Return whether several files are one table: if named so, or if each is the TensorBoard export of one run."""
    return name_from is not None or (len(paths) > 1 and all(is_tensorboard(path) for path in paths))


@dataclass(frozen=True)
class TableFiles:
    """Files that are one table, and what the user said about them.

    Attributes:
        paths: Files of any supported kind; folders stand for the tables inside them.
        baseline: Name of the baseline strategy.
        columns: Our column name -> the table's name, or its number if the table has no header.
        wide: Column whose values are spread over columns, if any; else it is guessed and noted.
        name_from: Where strategies are named: the files, or the folders that hold them.
        sheet: Sheet of an Excel file.
    """

    paths: Sequence[Path]
    baseline: str = BASELINE
    columns: Mapping[str, str] = field(default_factory=dict)
    wide: str | None = None
    name_from: NameFrom | None = None
    sheet: str | None = None


def read_sources(table: TableFiles) -> Reading:
    """Read files as text cells, with the names of files or folders as strategies if requested.

    Raises:
        InputError: A file cannot be read, files do not fit together, or they name strategies themselves.
    """
    paths, columns, name_from, baseline = table.paths, table.columns, table.name_from, table.baseline
    files = [file for path in paths for file in files_in(path)]
    if not files:
        raise InputError(Fault(", ".join(map(str, paths)), "tables", "no file", "name the files"))
    readings = [_read(file, columns, table.wide, table.sheet, name=name_from is None) for file in files]
    if name_from is not None:
        _name_by_path(readings, files, name_from, baseline, columns)
    one = name_from is None and len(files) == 1
    whole = readings[0] if one else _joined(readings, files)
    named_by_us = "strategy" in whole.frame and "strategy" not in {str(c).strip().lower() for c in whole.raw.columns}
    strategies = list(whole.frame["strategy"].unique()) if named_by_us else []
    shorter = without_shared_words(strategies, baseline)
    if shorter:
        whole.frame = whole.frame.assign(strategy=whole.frame["strategy"].map(shorter))
        whole.notes.append(f"what all names share is left out: {', '.join(f'{k} is {v}' for k, v in shorter.items())}")
    return whole


def files_in(path: Path) -> list[Path]:
    """Return the tables in a folder and its folders, sorted; a file stands for itself.

    Raises:
        InputError: A table in the folder is a link, which may lead to any file of the reader.
    """
    if not path.is_dir():
        return [path]
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in KINDS and not p.name.startswith("."))
    if links := [p for p in files if p.is_symlink()]:
        fix = "replace it by the file that it points to, or name that file in the command"
        raise InputError([Fault(str(link), "a file", LINK, fix) for link in links[:SHOWN]])
    return files


def _read(path: Path, columns: Mapping[str, str], wide: str | None, sheet: str | None, *, name: bool) -> Reading:
    cells = read_cells(path, sheet, tuple(columns.values()), wide=wide is not None)
    reading = Reading(str(path), cells.frame, cells.header, list(cells.notes), raw=cells.frame)
    if not cells.header:
        reading.notes.append("no header: the first row is read as data, and the columns by their content")
    elif wide is None and not columns:
        read_tensorboard(reading, path, name=name)
        read_wandb(reading)
    return reading


def _name_by_path(
    readings: Sequence[Reading], files: Sequence[Path], name_from: NameFrom, baseline: str, columns: Mapping[str, str]
) -> None:
    """Add the columns strategy, and seed if the files have none but their names do."""
    option = f"--name-from {name_from}"
    faults = [_own_strategies(reading, baseline, columns, option) for reading in readings]
    if any(faults):
        raise InputError([fault for fault in faults if fault])
    stems = [match["run"] if (match := DOWNLOAD.fullmatch(file.stem)) else file.stem for file in files]
    if name_from == "folder":
        strategies = [file.resolve().parent.name for file in files]
        seeds = [split_run(stem, any_number=stem.isdigit())[1] for stem in stems]
        nested = [split_run(strategy, any_number=strategy.isdigit()) for strategy in strategies]
        if all(seed for _, seed in nested) and not all(seeds):
            strategies = [s or file.resolve().parent.parent.name for (s, _), file in zip(nested, files, strict=True)]
            seeds = [seed for _, seed in nested]
    else:
        runs = [split_run(stem) for stem in stems]
        strategies, seeds = [s or stem for (s, _), stem in zip(runs, stems, strict=True)], [seed for _, seed in runs]
    has_seeds = [_has_seeds(reading, columns) for reading in readings]
    fits = all(seeds) and (not any(has_seeds) or all(map(_same_seed, readings, seeds)))
    if name_from == "file" and not fits:
        strategies = stems
        twice = [stem for stem, count in Counter(stems).items() if count > 1]
        if twice:
            fix = "rename the files; or take the names of their folders: --name-from folder"
            raise InputError(Fault(option, "a different name of every file", ", ".join(twice), fix))
    for reading, strategy, seed, own in zip(readings, strategies, seeds, has_seeds, strict=True):
        reading.frame = reading.frame.assign(strategy=strategy, **({"seed": seed} if fits and not own else {}))
    if fits and not any(has_seeds):
        readings[0].notes.append(f"strategies and seeds are read from the names of the {name_from}s")
    else:
        readings[0].notes.append(
            f"strategies are the names of the {name_from}s: {', '.join(dict.fromkeys(strategies))}"
        )


def _own_strategies(reading: Reading, baseline: str, columns: Mapping[str, str], option: str) -> Fault | None:
    """Return the fault of a file that names strategies itself, in a column or by columns."""
    there = [c for c in reading.frame.columns if c != LINE]
    named = [c for c in there if c.strip().lower() == "strategy" or c in (baseline, columns.get("strategy"))]
    if not reading.header:
        named = [c for c in there if baseline in set(reading.frame[c].dropna().str.strip())]
    if not named:
        return None
    fix = f"leave out {option}, or remove the column if it says something else"
    return Fault(f"{reading.where}: {option}", "no strategies in the file itself", f"column {named[0]}", fix)


def _has_seeds(reading: Reading, columns: Mapping[str, str]) -> bool:
    """Return whether the cells of a file name seeds or data sets."""
    names = {c.strip().lower() for c in reading.frame.columns}
    if not reading.header:
        numbers = [c for c in reading.frame.columns if c != LINE]
        return len(numbers) > 2
    return bool({"seed", "dataset"} & (names | set(columns))) or bool(seeds_in(reading.frame))


def _same_seed(reading: Reading, seed: str) -> bool:
    """Return whether a file has one seed, which is that of its name."""
    column = next((c for c in reading.frame.columns if c.strip().lower() == "seed"), None)
    return column is not None and set(reading.frame[column].dropna().str.strip()) == {seed}


def _joined(readings: Sequence[Reading], files: Sequence[Path]) -> Reading:
    """Put the rows of all files below each other; line numbers get the file's name."""
    frames = [_canonical(reading.frame) for reading in readings]
    shared = [c for c in frames[0].columns if all(c in frame for frame in frames)]
    roles = dict.fromkeys(c for frame in frames for c in frame.columns if c in COLUMNS)
    lacking = [
        Fault(
            reading.where,
            "the same columns in every file",
            f"no column {', '.join(c for c in roles if c not in frame)}, which other files have",
            "give all files the same header",
        )
        for reading, frame in zip(readings, frames, strict=True)
        if not set(roles) <= set(frame.columns)
    ]
    if not lacking and not set(shared) - {"strategy", "seed", LINE}:
        found = f"none in common: {', '.join(c for c in frames[0].columns if c != LINE)}"
        lacking = [Fault(readings[0].where, "the same columns in every file", found, "give all files the same header")]
    if lacking:
        raise InputError(lacking)
    extra = sorted({c for frame in frames for c in frame.columns if c not in shared})
    rows = [
        frame[shared].assign(**{LINE: f"{file}:" + frame[LINE].astype(str)})
        for frame, file in zip(frames, files, strict=True)
    ]
    notes = list(dict.fromkeys(note for reading in readings for note in reading.notes))
    if extra:
        notes.append(f"columns that not all files have are left out: {', '.join(extra)}")
    return Reading(
        ", ".join(map(str, files)) if len(files) <= SHOWN else f"{len(files)} files",
        pd.concat(rows, ignore_index=True),
        all(reading.header for reading in readings),
        notes,
        {c.strip().lower() if c.strip().lower() in COLUMNS else c: use for c, use in readings[0].uses.items()},
        pd.concat([_canonical(reading.raw) for reading in readings], ignore_index=True),
    )


def _canonical(frame: pd.DataFrame) -> pd.DataFrame:
    """Spell columns with a role of ours alike in all files."""
    return frame.rename(columns={c: c.strip().lower() for c in frame.columns if c.strip().lower() in COLUMNS})
