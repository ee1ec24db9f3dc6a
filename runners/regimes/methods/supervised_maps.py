"""Supervised segmentation, with or without augmentation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.metrics import VOID
from runners.models.learner import to_memory_format
from runners.regimes.augment.images_and_masks import joint_batch
from runners.regimes.training import Objective, Round


class SupervisedMaps(Objective):
    """Cross-entropy on the labelled pixels."""

    def __init__(self, now: Round) -> None:
        self._now = now
        self._draws = now.draws("augmentation")

    def loss(self, step: int, chosen: Tensor) -> Tensor:  # noqa: ARG002  # one signature for all
        """Compute the mean cross-entropy over the batch's pixels that are not void."""
        now = self._now
        pixels, places = now.resident.at(now.rows[chosen])
        with torch.autocast(now.resident.device.type, enabled=False):
            x, maps = joint_batch(
                pixels, places, now.targets[chosen], now.regime.augmentation, now.scaling, self._draws
            )
            x = to_memory_format(x, now.regime.precision)
        return pixel_cross_entropy(now.net(x), maps, now.regime.label_smoothing)


def pixel_cross_entropy(logits: Tensor, maps: Tensor, smoothing: float = 0.0) -> Tensor:
    """Compute the mean cross-entropy over the pixels that are not void; 0 if all are void.

    Args:
        logits: (b, classes, height, width).
        maps: (b, height, width) classes and `VOID`.
    """
    total = F.cross_entropy(logits.float(), maps.long(), ignore_index=VOID, label_smoothing=smoothing, reduction="sum")
    return total / (maps != VOID).sum().clamp(min=1)
