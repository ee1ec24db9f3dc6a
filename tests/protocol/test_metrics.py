"""Metrics by hand, where the two differ."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, brier_score_loss, f1_score, log_loss

from protocol.metrics import calibration_metrics, classification_metrics


def test_by_hand_with_unequal_classes() -> None:
    target = np.array([0, 0, 0, 0, 2, 2, 5])
    predicted = np.array([0, 0, 0, 1, 2, 0, 3])
    f1 = (2 * 3 / (4 + 4) + 0 + 2 * 1 / (2 + 1) + 0 + 0) / 5  # classes 0, 1, 2, 3, 5; nothing is or is called 4
    assert classification_metrics(predicted, target) == pytest.approx(
        {"accuracy": 4 / 7, "balanced_accuracy": (3 / 4 + 1 / 2 + 0) / 3, "macro_f1": f1}
    )


def test_equals_a_well_kept_library() -> None:
    rng = np.random.default_rng(0)
    target, predicted = rng.integers(0, 4, 300), rng.integers(0, 4, 300)
    ours = classification_metrics(predicted, target)
    assert ours["accuracy"] == pytest.approx(accuracy_score(target, predicted))
    assert ours["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(target, predicted))
    assert ours["macro_f1"] == pytest.approx(f1_score(target, predicted, average="macro"))


def test_calibration_by_hand() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.4, 0.35], [0.05, 0.69, 0.26]])
    predicted, target = np.array([0, 1, 1, 1]), np.array([0, 2, 1, 1])
    found = calibration_metrics(np.log(p), predicted, target)
    assert found["nll"] == pytest.approx(-(np.log(0.7) + np.log(0.3) + np.log(0.4) + np.log(0.69)) / 4)
    brier = (0.09 + 0.04 + 0.01) + (0.01 + 0.36 + 0.49) + (0.0625 + 0.36 + 0.1225) + (0.0025 + 0.0961 + 0.0676)
    assert found["brier"] == pytest.approx(brier / 4)
    # bins of 1/15: .7 and .69 fall into (10/15, 11/15], both right;
    # .6 into (8/15, 9/15], wrong; .4 into (5/15, 6/15], right
    assert found["ece"] == pytest.approx((abs(2 - 0.7 - 0.69) + abs(0 - 0.6) + abs(1 - 0.4)) / 4)


def test_calibration_equals_a_well_kept_library_and_forgives_rounding() -> None:
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.full(5, 0.4), 400)
    target = rng.integers(0, 5, 400)
    ours = calibration_metrics(np.log(p), p.argmax(1), target)
    assert ours["nll"] == pytest.approx(log_loss(target, p, labels=range(5)))
    assert ours["brier"] == pytest.approx(brier_score_loss(target, p, labels=list(range(5)), scale_by_half=False))
    rounded = calibration_metrics(np.log(p).astype(np.float16), p.argmax(1), target)
    assert rounded == pytest.approx(ours, rel=2e-3)
    certain = np.where(np.eye(2)[[0, 1]] > 0, 0.0, -np.inf)
    worst = calibration_metrics(certain, np.array([0, 1]), np.array([1, 0]))
    assert worst["brier"] == 2
    assert worst["ece"] == 1
    assert 700 < worst["nll"] < 710
    with pytest.raises(ValueError, match="expected shapes"):
        calibration_metrics(certain, np.array([0]), np.array([1, 0]))


@pytest.mark.parametrize(("predicted", "target"), [([0], [0, 1]), ([], []), ([[0]], [[0]])])
def test_shapes_must_agree(predicted: list[int], target: list[int]) -> None:
    with pytest.raises(ValueError, match="two equal shapes"):
        classification_metrics(np.array(predicted, np.int64), np.array(target, np.int64))
