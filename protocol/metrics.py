"""Metrics recomputable from predictions and probabilities: what the runner reports and the checker verifies."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ECE_BINS: Final = 15
VOID: Final = 255
"""Label of pixels that nobody trains on or is measured on."""


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
    if (
        log_probabilities.ndim != 2
        or len(log_probabilities) != n
        or predicted.shape != (n,)
        or target.shape != (n,)
        or not n
    ):
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


def reliability(
    log_probabilities: NDArray[np.floating[Any]], predicted: NDArray[np.integer], target: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Images by confidence, in the bins of `ece`: how many, their summed confidence, and how many are right; shape (3, ECE_BINS).

    Arguments as of `calibration_metrics`.
    """
    p = np.exp(log_probabilities.astype(np.float64))
    confidence = p[np.arange(len(target)), predicted] / p.sum(1)
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    weights = (None, confidence, predicted == target)
    return np.stack([np.bincount(bins, weights=w, minlength=ECE_BINS).astype(np.float64) for w in weights])


def confusion_matrices(predicted: NDArray[np.integer], target: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Pixels counted by true class (rows) and predicted class (columns), image by image; void pixels are not counted.

    Args:
        predicted: classes, shape (n, height, width), in [0, classes).
        target: true classes in [0, classes), or `VOID`; same shape.

    Returns:
        (n, classes, classes).
    """
    if predicted.shape != target.shape or predicted.ndim != 3:
        raise ValueError(f"expected two equal shapes (n, height, width), found {predicted.shape} and {target.shape}")
    counts = np.empty((len(target), classes, classes), np.int64)
    for i, (guess, truth) in enumerate(zip(predicted, target, strict=True)):
        known = truth != VOID
        cells = truth[known].astype(np.int64) * classes + guess[known]
        counts[i] = np.bincount(cells, minlength=classes**2).reshape(classes, classes)
    return counts


def segmentation_metrics(matrices: NDArray[np.integer]) -> dict[str, float]:
    """Mean intersection over union, pixel accuracy, and `iou_<class>` of every class; in [0, 1], higher is better.

    All pixels of all images are counted together (the PASCAL VOC definition, Everingham et al. 2010, section 4.1):
    the intersection over union of a class is hits / (targets + predictions - hits). Classes in neither have none and
    are left out of the mean.

    Args:
        matrices: counts (n, classes, classes) as `confusion_matrices` gives them, with at least one pixel that is not void.
    """
    total = matrices.sum(0, dtype=np.int64)
    hits, union = np.diag(total), total.sum(0) + total.sum(1) - np.diag(total)
    if not total.sum():
        raise ValueError("expected pixels that are not void, found none")
    seen = np.flatnonzero(union)
    each = {f"iou_{k}": float(hits[k] / union[k]) for k in seen.tolist()}
    return {"mean_iou": float(np.mean(list(each.values()))), "pixel_accuracy": float(hits.sum() / total.sum()), **each}


def targets_of(labels: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """What a study keeps of the test labels so that metrics can be computed again.

    Args:
        labels: classes (n,), or maps (n, height, width).

    Returns:
        (n,) the classes; of maps (n * classes,) how many pixels of each class every image has, the row sums of its confusion matrix.
    """
    if labels.ndim == 1:
        return labels.astype(np.int64)
    counts = [np.bincount(each[each != VOID].astype(np.int64), minlength=classes) for each in labels]
    return np.concatenate(counts) if counts else np.empty(0, np.int64)
