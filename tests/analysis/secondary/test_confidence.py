"""Bins of confidence from a study's own sidecars agree with the expected calibration error on the record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.loading.records import load_study
from analysis.secondary.confidence import pool_bins
from protocol.metrics import ECE_BINS, calibration_metrics, reliability
from protocol.spec.run_id import RunId
from tests.support.study_builder import build_study


def test_the_bins_give_the_calibration_error() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (500, 4))
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    predicted, target = log_p.argmax(1), rng.integers(0, 4, 500)
    images, confidence, right = reliability(log_p, predicted, target)
    assert images.sum() == 500
    assert np.abs(right - confidence).sum() / 500 == pytest.approx(
        calibration_metrics(log_p, predicted, target)["ece"], abs=1e-12
    )
    assert len(images) == ECE_BINS


def test_a_study_with_probabilities_has_its_last_round_binned(tmp_path: Path) -> None:
    folder = build_study(tmp_path / "study", probabilities=True)
    curves = load_study(folder.path)
    last = curves.frame[(curves.frame["budget"] == 30) & (curves.frame["metric"] == "ece")]
    for row in last.itertuples():
        own = curves.reliability[
            (curves.reliability["strategy"] == row.strategy) & (curves.reliability["seed"] == row.seed)
        ]
        assert own["images"].sum() == 40
        assert (own["right"] - own["confidence"]).abs().sum() / 40 == pytest.approx(float(row.value), abs=1e-12)  # type: ignore[arg-type]
    frame = pool_bins(curves.reliability)
    assert frame.groupby("strategy")["share"].sum().tolist() == pytest.approx([1, 1, 1])
    assert set(frame["n"]) == {2}


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    folder = build_study(tmp_path / "study", probabilities=True)
    folder.run(RunId("small", "first", 0)).predictions(2).write_bytes(b"PK nothing")
    folder.run(RunId("small", "first", 1)).predictions(2).unlink()
    assert set(load_study(folder.path).reliability["strategy"]) == {"random", "last"}
    assert load_study(build_study(tmp_path / "plain").path).reliability.empty
