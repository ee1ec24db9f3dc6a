"""Export a study's curves, runs and labels as plain tables for pandas, DuckDB or R.

They are built from its records.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args

import pandas as pd

from analysis.formatting.tables import csv_text
from analysis.loading.curves import Curves
from analysis.loading.records import load_study
from protocol.digests import canonical_json, sha256
from protocol.errors import Fault, InputError, RecordError
from protocol.record.chain import Record, read
from protocol.record.events import FailureEvent, LabelsEvent, ResumeEvent, RoundEvent, TrialEvent
from protocol.record.layout import RunFolder, StudyFolder, write_atomically
from protocol.seal.archive import open_study
from protocol.spec.run_id import RunId

Format = Literal["parquet", "csv"]
RUN: Final = ["protocol", "strategy", "seed"]
RUNS: Final = [
    *RUN, "dataset", "regime", "state", "attempts", "failures", "rounds", "labels", "train_s", "choose_s", "evaluate_s",
    "fingerprint", "environment", "head",
]  # fmt: skip
TRIALS: Final = [*RUN, "round", "trial", "setting", "value", "failed", "chosen", "steps", "train_s"]
LEDGER: Final = [*RUN, "round", "purpose", "index", "before", "after"]


def study_tables(path: Path) -> dict[str, pd.DataFrame]:
    """Return the tables of a study folder or a packed study.

    Returns:
        curves: one row per measurement of a complete run, as `Curves.frame`.
        runs: one row per planned run. state: complete, or why the run is not analysed. attempts, failures: how often
            the run was started and how often it failed. labels: number of labels. train_s, choose_s, evaluate_s:
            seconds of all rounds (wall clock). fingerprint: fingerprint of the protocol. environment: digest of the
            recorded environment of the first attempt. head: hash of the record's last line.
        ledger: one row per label, incomplete runs included. round: first round that trains on it, from 0. index: index
            of the image in its data set. before, after: number of labels before and after the query. Records hold no
            labels.
        trials: one row per setting tried, only if protocols are tuned. setting: JSON object from paths in the recipe to
            values. value: the protocol's metric on validation data, missing if the trial failed. chosen: whether the
            round was trained with it.

    Raises:
        InputError: the path is no study.
    """
    with open_study(path) as place:
        folder = StudyFolder(place)
        curves = load_study(place)
        reasons = {m.run: m.reason for m in curves.missing}
        runs: list[dict[str, Any]] = []
        ledger: list[tuple[object, ...]] = []
        trials: list[tuple[object, ...]] = []
        for run in curves.planned:
            record = _record(folder.run(run))
            runs.append(_run(run, curves, reasons.get(run, "complete"), record))
            ledger += _purchases(run, record)
            trials += _trials(run, curves.metrics[run.protocol], record)
    whole = ("attempts", "failures", "rounds", "labels")
    tuned = {"trials": pd.DataFrame(trials, columns=TRIALS).astype({"value": "float64"})} if trials else {}
    return tuned | {
        "curves": curves.frame,
        "runs": pd.DataFrame(runs, columns=RUNS).astype(dict.fromkeys(whole, "int64")),
        "ledger": pd.DataFrame(ledger, columns=LEDGER),
    }


def _record(run: RunFolder) -> Record | None:
    try:
        return read(run.events, run.root)
    except RecordError:  # no record, or unreadable: the run's state says which
        return None


def _run(run: RunId, curves: Curves, state: str, record: Record | None) -> dict[str, Any]:
    dataset, regime = curves.places[run.protocol]
    row: dict[str, Any] = run._asdict() | {"dataset": dataset, "regime": regime, "state": state}
    if record is None:
        return row | dict.fromkeys(("attempts", "failures", "rounds", "labels"), 0)
    spent = {"train_s": 0.0, "choose_s": 0.0, "evaluate_s": 0.0}
    for event in record.rounds:
        for name, seconds in event.cost.items():
            if name.endswith("_s"):
                spent[kind_of(name)] += seconds
    return row | spent | {
        "attempts": len(record.of(ResumeEvent)) + (record.run is not None),
        "failures": len(record.of(FailureEvent)),
        "rounds": len(record.rounds),
        "labels": sum(len(e.indices) for e in record.of(LabelsEvent)),
        "fingerprint": record.run.fingerprint if record.run else None,
        "environment": _environment(record),
        "head": record.head,
    }  # fmt: skip


def _environment(record: Record) -> str | None:
    try:
        return sha256(canonical_json(record.run.environment)) if record.run else None
    except ValueError:  # a number that canonical JSON does not have: the record was edited
        return None


def kind_of(cost: str) -> str:
    """Return the column of a round's cost: training (with trials), query selection or evaluation."""
    return {"train_s": "train_s", "tune_s": "train_s", "evaluate_s": "evaluate_s"}.get(cost, "choose_s")


def _trials(run: RunId, metric: str, record: Record | None) -> list[tuple[object, ...]]:
    chosen = {event.round: event.setting for event in record.rounds} if record else {}
    return [
        (
            *run,
            e.round,
            e.trial,
            canonical_json(e.setting).decode(),
            e.validation.get(metric),
            e.failed,
            chosen.get(e.round) == e.setting,
            e.steps,
            e.cost.get("train_s"),
        )
        for e in (record.of(TrialEvent) if record else ())
    ]


def _purchases(run: RunId, record: Record | None) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    trained = 0
    for event in record.events if record else ():
        if isinstance(event, RoundEvent):
            trained += 1
        elif isinstance(event, LabelsEvent):
            rows += [(*run, trained, event.purpose, index, event.before, event.after) for index in event.indices]
    return rows


def write_study_tables(tables: Mapping[str, pd.DataFrame], folder: Path, form: Format) -> list[Path]:
    """Write each table as NAME.parquet or NAME.csv and return the paths.

    Raises:
        InputError: unknown format, Parquet's library is not installed, or different files exist; nothing is written
            then.
    """
    if form not in get_args(Format):
        raise InputError(Fault("--format", "parquet or csv", repr(form)))
    contents = {folder / f"{name}.{form}": _encoded(frame, form) for name, frame in tables.items()}
    in_the_way = [path for path, data in contents.items() if path.exists() and path.read_bytes() != data]
    if in_the_way:
        raise InputError(
            [
                Fault(
                    str(p), "no file, or the same table", "a file with different contents", "move it away or use --out"
                )
                for p in in_the_way
            ]
        )
    for path, data in contents.items():
        write_atomically(path, data)
    return list(contents)


def _encoded(frame: pd.DataFrame, form: Format) -> bytes:
    if form == "csv":
        return csv_text(frame).encode()
    buffer = io.BytesIO()
    try:
        frame.to_parquet(buffer, index=False)
    except ImportError:
        raise InputError(
            Fault("--format", "pyarrow, to write Parquet", "not installed", "install beatrandom[parquet] or use csv")
        ) from None
    return buffer.getvalue()
