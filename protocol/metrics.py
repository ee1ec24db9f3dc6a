"""Metrics of predictions and probabilities: the runner reports them, the checker computes them again."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ECE_BINS: Final = 15
VOID: Final = 255
"""Label of pixels that are neither trained on nor evaluated."""


def classification_metrics(predicted: NDArray[np.integer], target: NDArray[np.integer]) -> dict[str, float]:
    """Compute accuracy, balanced accuracy and macro-F1, in [0, 1], higher is better.

    Balanced accuracy is the mean recall over the classes among the targets. Macro-F1 is the mean of
    2 hits / (targets + predictions) over the classes among targets or predictions.

    Args:
        predicted, target: classes, shape (n,), n >= 1.

    Examples:
        >>> classification_metrics(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]))["accuracy"]
        0.75
    """
    if predicted.shape != target.shape or predicted.ndim != 1 or not len(target):
        raise ValueError(f"expected two equal shapes (n,), n >= 1, found {predicted.shape} and {target.shape}")
    correct = predicted == target
    classes = int(max(predicted.max(), target.max())) + 1
    support, predictions = np.bincount(target, minlength=classes), np.bincount(predicted, minlength=classes)
    hits = np.bincount(target, weights=correct, minlength=classes)
    present, seen = support > 0, support + predictions > 0
    return {
        "accuracy": float(correct.mean()),
        "balanced_accuracy": float((hits[present] / support[present]).mean()),
        "macro_f1": float((2 * hits[seen] / (support + predictions)[seen]).mean()),
    }


def calibration_metrics(
    log_probabilities: NDArray[np.floating[Any]], predicted: NDArray[np.integer], target: NDArray[np.integer]
) -> dict[str, float]:
    """Compute `nll`, `brier` and `ece` of predicted probabilities; lower is better.

    nll: mean of -log p(target), in nats (Good 1952).
    brier: mean over images of the sum over classes of (p - 1[target])², in [0, 2] (Brier 1950, original form).
    ece: |accuracy - confidence| of the predicted class, averaged over 15 equal bins of confidence weighted by their
    share of images, in [0, 1] (Guo et al. 2017, arXiv 1706.04599, equation 3).

    Rows are normalised first, because recorded probabilities are rounded.

    Args:
        log_probabilities: natural logarithms, shape (n, classes), n >= 1, at most 0, -inf allowed.
        predicted, target: classes, shape (n,), in [0, classes).

    Returns:
        Finite numbers. A true class of probability 0 counts as the smallest positive float64.
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
    """Count images by confidence, in the bins of `ece`.

    Args:
        log_probabilities, predicted, target: as for `calibration_metrics`.

    Returns:
        (3, ECE_BINS): number of images, their summed confidence, and number of correct predictions.
    """
    p = np.exp(log_probabilities.astype(np.float64))
    confidence = p[np.arange(len(target)), predicted] / p.sum(1)
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    weights = (None, confidence, predicted == target)
    return np.stack([np.bincount(bins, weights=w, minlength=ECE_BINS).astype(np.float64) for w in weights])


def confusion_matrices(predicted: NDArray[np.integer], target: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Count the pixels of each image by true class (rows) and predicted class (columns).

    Void pixels are left out.

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
        labelled = truth != VOID
        cells = truth[labelled].astype(np.int64) * classes + guess[labelled]
        counts[i] = np.bincount(cells, minlength=classes**2).reshape(classes, classes)
    return counts


def segmentation_metrics(matrices: NDArray[np.integer]) -> dict[str, float]:
    """Compute mean IoU, pixel accuracy, and `iou_<class>` of every class; in [0, 1], higher is better.

    All pixels of all images are counted together (the PASCAL VOC definition, Everingham et al. 2010, section 4.1).
    The intersection over union of a class is hits / (targets + predictions - hits). A class that occurs in neither
    targets nor predictions has none and is left out of the mean.

    Args:
        matrices: counts (n, classes, classes) from `confusion_matrices`, of at least one pixel.
    """
    total = matrices.sum(0, dtype=np.int64)
    hits, union = np.diag(total), total.sum(0) + total.sum(1) - np.diag(total)
    if not total.sum():
        raise ValueError("expected at least one pixel that is not void, found none")
    seen = np.flatnonzero(union)
    each = {f"iou_{k}": float(hits[k] / union[k]) for k in seen.tolist()}
    return {"mean_iou": float(np.mean(list(each.values()))), "pixel_accuracy": float(hits.sum() / total.sum()), **each}


def targets_of(labels: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Return what a study keeps of the test labels, so that metrics can be computed again.

    Args:
        labels: classes (n,), or maps (n, height, width).

    Returns:
        Of classes: (n,) the classes. Of maps: (n * classes,) pixels of each class per image, which are the row sums of
        the confusion matrices.
    """
    if labels.ndim == 1:
        return labels.astype(np.int64)
    counts = [np.bincount(each[each != VOID].astype(np.int64), minlength=classes) for each in labels]
    return np.concatenate(counts) if counts else np.empty(0, np.int64)
