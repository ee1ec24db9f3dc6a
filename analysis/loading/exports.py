"""Read the CSV files that Weights & Biases and TensorBoard export.

A panel of Weights & Biases has one column per run and metric ("RUN - METRIC"), each with its minimum and maximum
("RUN - METRIC__MIN"). TensorBoard writes one file per run, with the columns Wall time, Step and Value. Strategy and
seed are read from the names of runs and files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from analysis.loading.csv_layout import layout_of
from analysis.loading.reading import Reading
from analysis.loading.run_names import run_of, split_runs
from analysis.loading.text_cells import LARGEST_TABLE, LINE
from protocol.errors import Fault, InputError
from protocol.safe_read import open_named

TENSORBOARD: Final = ("Wall time", "Step", "Value")
SERIES: Final = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<end>__MIN|__MAX)?")
DOWNLOAD: Final = re.compile(r"(?:run-)?(?P<run>.+?)-tag-(?P<tag>.+)")
"""Names that TensorBoard gives to its files: run-RUN-tag-TAG.csv."""
STEP: Final = "Step is read as the budget; give the labels in its place if it counts training steps"


def is_tensorboard(path: Path) -> bool:
    """Return whether a file is a scalar series that TensorBoard exported."""
    if not path.is_file() or path.suffix.lower() not in {".csv", ".tsv", ".txt", ""}:
        return False
    try:
        with open_named(path, LARGEST_TABLE) as file:
            rows = layout_of(file.read(4096).rpartition(b"\n")[0]).rows
    except (OSError, ValueError):
        return False
    return bool(rows) and tuple(rows[0]) == TENSORBOARD


def read_tensorboard(reading: Reading, path: Path, *, name: bool) -> None:
    """Bring a scalar series of TensorBoard under the project's columns.

    Args:
        reading: The table; changed in place if it is such a series.
        path: Its file, whose name gives strategy and seed.
        name: Whether strategy and seed are taken from the file's name.
    """
    if tuple(c for c in reading.frame.columns if c != LINE) != TENSORBOARD:
        return
    why = "a TensorBoard export"
    reading.leave_out(["Wall time"], why)
    reading.rename({"Step": "budget", "Value": "value"}, why)
    download = DOWNLOAD.fullmatch(path.stem)
    if download:
        reading.frame = reading.frame.assign(metric=download["tag"])
    if name:
        strategy, seed = run_of(path.with_name(f"{download['run']}.csv") if download else path)
        if not seed:
            raise InputError(
                Fault(
                    str(path),
                    "strategy and seed in the name of each TensorBoard file, for example margin_seed0.csv",
                    f"no seed in {path.name}",
                    "rename the files; or give tables with the columns strategy, seed, budget, value",
                )
            )
        reading.frame = reading.frame.assign(strategy=strategy, seed=seed)
    reading.notes.append(f"TensorBoard exports: {STEP}")


def read_wandb(reading: Reading) -> None:
    """Bring a panel of Weights & Biases under the project's columns, one row per run, metric and step.

    Raises:
        InputError: The names of the runs have no seeds.
    """
    own = [c for c in reading.frame.columns if c != LINE]
    series = {c: match for c in own if (match := SERIES.fullmatch(c))}
    steps = [c for c in own if c not in series]
    ends = {c for c, match in series.items() if match["end"]}
    known = steps and (steps[0] in ("Step", "_step") or steps[0].lower().startswith(("relative time", "wall time")))
    if len(steps) != 1 or not series or not (ends or known):
        return
    if re.search(r"(?i)time|runtime", steps[0]):
        raise InputError(
            Fault(
                f"{reading.where}: the x axis of a Weights & Biases panel",
                "labels, or steps that count them",
                steps[0],
                "choose another x axis in the panel, and export again: time is no budget",
            )
        )
    plain = {c: (m["run"].strip(), m["metric"].strip()) for c, m in series.items() if not m["end"]}
    runs = list(dict.fromkeys(run for run, _ in plain.values()))
    found = dict(zip(runs, split_runs(runs), strict=True))
    unnamed = [run for run, (strategy, seed) in found.items() if not seed or not strategy]
    if unnamed:
        raise InputError(
            Fault(
                f"{reading.where}: the columns of a Weights & Biases panel",
                'strategy and seed in the name of every run, for example "margin-seed0 - accuracy"',
                _first(unnamed),
                "rename the runs and export again. Groups of runs are means: ungroup the panel, because means alone "
                "cannot be tested",
            )
        )
    why = "a Weights & Biases export"
    parts = [
        reading.frame[[steps[0], c, LINE]]
        .rename(columns={steps[0]: "budget", c: "value"})
        .assign(strategy=found[run][0], seed=found[run][1], metric=metric)
        for c, (run, metric) in plain.items()
    ]
    long = pd.concat(parts, ignore_index=True)
    averaged = _averaged(reading.frame, list(plain))
    reading.use({steps[0]: "budget"}, why)
    for column, (run, _) in plain.items():
        reading.use({column: "value"}, f"{why}: {found[run][0]}, seed {found[run][1]}")
    reading.use(dict.fromkeys(ends, ""), f"{why}: its ends repeat the run")
    reading.frame = long[long["value"].notna()].reset_index(drop=True)
    step = STEP if steps[0] in ("Step", "_step") else f"{steps[0]} is read as the budget"
    reading.notes.append(f"Weights & Biases export of {len(runs)} runs: {step}")
    if averaged:
        reading.notes.append(
            f"Weights & Biases averaged neighbouring steps of {_first(averaged)}: minimum and maximum differ. Export "
            "fewer steps, or the full history"
        )


def _averaged(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return the columns whose minimum and maximum differ."""
    both = [c for c in columns if f"{c}__MIN" in frame and f"{c}__MAX" in frame]
    low, high = ({c: pd.to_numeric(frame[f"{c}__{end}"], errors="coerce") for c in both} for end in ("MIN", "MAX"))
    return [c for c in both if bool((high[c] - low[c] > 1e-9 * high[c].abs()).any())]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
