"""Confusion matrices on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from protocol.metrics import VOID


def counts(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """(n, classes, classes) int64 pixels by true class (rows) and predicted class, image by image; void is not counted.

    The same numbers as `protocol.metrics.confusion_matrices`.

    Args:
        predicted, target: (n, height, width) classes, of the target also `VOID`.
    """
    n, cells = len(target), classes * classes
    image = torch.arange(n, device=target.device)[:, None, None]
    place = image * (cells + 1) + torch.where(target == VOID, cells, target.long() * classes + predicted.long())
    return (
        torch.bincount(place.flatten(), minlength=n * (cells + 1))
        .view(n, cells + 1)[:, :cells]
        .reshape(n, classes, classes)
    )
