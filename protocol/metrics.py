"""Metrics recomputable from predictions: what the runner reports and the checker verifies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def classification_metrics(predicted: NDArray[np.integer], target: NDArray[np.integer]) -> dict[str, float]:
    """Accuracy and balanced accuracy (mean recall over the classes present), in [0, 1], higher is better.

    Args:
        predicted, target: classes, shape (n,), n >= 1.
    """
    if predicted.shape != target.shape or predicted.ndim != 1 or not len(target):
        raise ValueError(f"expected two equal shapes (n,), n >= 1, found {predicted.shape} and {target.shape}")
    right = predicted == target
    support = np.bincount(target)
    hits = np.bincount(target, weights=right)
    present = support > 0
    return {"accuracy": float(right.mean()), "balanced_accuracy": float((hits[present] / support[present]).mean())}
