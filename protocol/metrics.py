"""Metrics recomputable from predictions and probabilities: what the runner reports and the checker verifies."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ECE_BINS: Final = 15


def classification_metrics(predicted: NDArray[np.integer], target: NDArray[np.integer]) -> dict[str, float]:
    """Accuracy, balanced accuracy and macro-F1, in [0, 1], higher is better.

    Balanced accuracy is the mean recall over the classes among the targets; macro-F1 the mean of
    2 hits / (targets + predictions) over the classes among targets or predictions.

    Args:
        predicted, target: classes, shape (n,), n >= 1.
    """
    if predicted.shape != target.shape or predicted.ndim != 1 or not len(target):
        raise ValueError(f"expected two equal shapes (n,), n >= 1, found {predicted.shape} and {target.shape}")
    right = predicted == target
    classes = int(max(predicted.max(), target.max())) + 1
    support, named = np.bincount(target, minlength=classes), np.bincount(predicted, minlength=classes)
    hits = np.bincount(target, weights=right, minlength=classes)
    present, seen = support > 0, support + named > 0
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float((hits[present] / support[present]).mean()),
        "macro_f1": float((2 * hits[seen] / (support + named)[seen]).mean()),
    }


def calibration_metrics(
    log_probabilities: NDArray[np.floating[Any]], predicted: NDArray[np.integer], target: NDArray[np.integer]
) -> dict[str, float]:
    """How far probabilities can be believed: `nll`, `brier` and `ece`, lower is better.

    nll: mean of -log p(target), in nats (Good 1952). brier: mean over images of the sum over classes of
    (p - 1[target])², in [0, 2] (Brier 1950, whose original form has this range). ece: |accuracy - confidence|
    of the predicted class, averaged over 15 equal bins of confidence by their share of images, in [0, 1]
    (Guo et al. 2017, arXiv 1706.04599, equation 3). Rows are normalised first, as what the sidecar holds is rounded.

    Args:
        log_probabilities: natural logarithms, shape (n, classes), n >= 1, at most 0, -inf allowed.
        predicted, target: classes, shape (n,), in [0, classes).

    Returns:
        Finite numbers: a true class of probability 0 counts as the smallest positive float64.
    """
    n = len(target)
    if log_probabilities.ndim != 2 or len(log_probabilities) != n or predicted.shape != (n,) or target.shape != (n,) or not n:
        found = f"{log_probabilities.shape}, {predicted.shape} and {target.shape}"
        raise ValueError(f"expected shapes (n, classes), (n,) and (n,), n >= 1, found {found}")
    p = np.exp(log_probabilities.astype(np.float64))
    p /= p.sum(1, keepdims=True)
    rows = np.arange(n)
    of_target, confidence = p[rows, target], p[rows, predicted]
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    gaps = np.bincount(bins, weights=(predicted == target) - confidence, minlength=ECE_BINS)
    return {
        "nll": float(-np.log(np.maximum(of_target, np.finfo(np.float64).tiny)).mean()),
        "brier": float(((p**2).sum(1) - 2 * of_target + 1).mean()),
        "ece": float(np.abs(gaps).sum() / n),
    }
