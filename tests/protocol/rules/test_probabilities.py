"""Calibration metrics are recomputed from the table of probabilities, and every way of forging it is detected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.digests import array_digest
from protocol.record.layout import RunFolder, write_arrays
from protocol.rules import check_study
from tests.support.study_builder import build_study, lines, log_table, rewrite, rounds

Table = np.ndarray[Any, Any]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return build_study(tmp_path / "study", probabilities=True).path


def run_of(study: Path) -> RunFolder:
    return RunFolder(study / "records" / "small" / "first" / "seed-0")


def answers(study: Path) -> tuple[set[str], set[str]]:
    findings = [f for f in check_study(study).findings if f.run == "small/first/seed-0"]
    return {f.rule for f in findings if f.answer == "broken"}, {f.rule for f in findings if f.answer == "unverifiable"}


def exchange(study: Path, change: Callable[[Table], Table], *, digest: bool) -> None:
    """Replace the table in the sidecar of round 1, with or without its digest in the record."""
    run = run_of(study)
    with np.load(run.predictions(1)) as arrays:
        predicted, table = arrays["prediction"], change(arrays["log_probability"].copy())
    write_arrays(run.predictions(1), {"prediction": predicted, "log_probability": table})
    if digest:
        rewrite(run.events, lambda events: rounds(events)[1].update(probabilities=array_digest(table)))


def test_a_study_with_probabilities_obeys(study: Path) -> None:
    assert answers(study) == (set(), set())
    metrics = lines(run_of(study).events)[5]["metrics"]
    assert set(metrics) == {"accuracy", "balanced_accuracy", "macro_f1", "nll", "brier", "ece"}
    assert metrics["nll"] > 0.25


@pytest.mark.parametrize(("name", "value"), [("nll", 0.3), ("brier", 0.31), ("ece", 0.1)])
def test_an_edited_metric_is_found(study: Path, name: str, value: float) -> None:
    rewrite(run_of(study).events, lambda events: rounds(events)[1]["metrics"].update({name: value}))
    assert answers(study) == ({"EVL-01"}, set())


def test_ranges(study: Path) -> None:
    rewrite(
        run_of(study).events,
        lambda events: (rounds(events)[1]["metrics"].update(brier=2.5), rounds(events)[2]["metrics"].update(nll=-0.1)),
    )
    assert answers(study) == ({"EVL-01", "EVL-03"}, set())


def swapped(table: Table) -> Table:
    table[3] = table[3, [1, 2, 0]]
    return table


def sharper(table: Table) -> Table:
    table[table < -1] -= 1
    return table


@pytest.mark.parametrize(
    ("change", "digest", "broken", "unverifiable"),
    [
        (sharper, False, "EVL-01 EVL-02", ""),
        (sharper, True, "EVL-01", ""),
        (swapped, True, "EVL-01 EVL-02", ""),
        (lambda table: table[:-1], True, "EVL-01 EVL-02", ""),
        (lambda table: table[:, :2], True, "EVL-01 EVL-02", ""),
        (lambda table: table.astype(np.float64), True, "", "EVL-01 EVL-02"),
        (lambda table: np.full_like(table, np.nan), True, "", "EVL-01 EVL-02"),
        (lambda table: np.full_like(table, -np.inf), True, "", "EVL-01 EVL-02"),
        (lambda table: table + np.float16(3), True, "", "EVL-01 EVL-02"),
        (lambda table: table.ravel(), True, "", "EVL-01 EVL-02"),
    ],
)
def test_an_exchanged_table_is_found(study: Path, change: Any, digest: bool, broken: str, unverifiable: str) -> None:
    exchange(study, change, digest=digest)
    assert answers(study) == (set(broken.split()), set(unverifiable.split()))


def test_a_missing_table_leaves_its_metrics_unverifiable(study: Path) -> None:
    run = run_of(study)
    with np.load(run.predictions(1)) as arrays:
        predicted = arrays["prediction"]
    write_arrays(run.predictions(1), {"prediction": predicted})
    assert answers(study) == (set(), {"EVL-01", "EVL-02"})
    rewrite(run.events, lambda events: rounds(events)[1].update(probabilities=""))
    assert answers(study) == (set(), {"EVL-01"})  # the metrics of calibration are a claim now


def test_the_builders_table_agrees_with_its_predictions() -> None:
    predicted = np.array([2, 0, 1])
    assert log_table(predicted).argmax(1).tolist() == [2, 0, 1]
