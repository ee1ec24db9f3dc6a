"""Metrics by hand, where the two differ."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from protocol.metrics import classification_metrics


def test_by_hand_with_unequal_classes() -> None:
    target = np.array([0, 0, 0, 0, 2, 2, 5])
    predicted = np.array([0, 0, 0, 1, 2, 0, 3])
    assert classification_metrics(predicted, target) == pytest.approx({"accuracy": 4 / 7, "balanced_accuracy": (3 / 4 + 1 / 2 + 0) / 3})


def test_equals_a_well_kept_library() -> None:
    rng = np.random.default_rng(0)
    target, predicted = rng.integers(0, 4, 300), rng.integers(0, 4, 300)
    ours = classification_metrics(predicted, target)
    assert ours["accuracy"] == pytest.approx(accuracy_score(target, predicted))
    assert ours["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(target, predicted))


@pytest.mark.parametrize(("predicted", "target"), [([0], [0, 1]), ([], []), ([[0]], [[0]])])
def test_shapes_must_agree(predicted: list[int], target: list[int]) -> None:
    with pytest.raises(ValueError, match="two equal shapes"):
        classification_metrics(np.array(predicted, np.int64), np.array(target, np.int64))
