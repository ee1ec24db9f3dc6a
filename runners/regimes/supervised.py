"""Supervised learning, with or without augmentation."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from runners.regimes.training import Objective, Round


class Supervised(Objective):
    """Cross-entropy on the labels owned."""

    def __init__(self, now: Round) -> None:
        self._now = now
        self._draws = now.draws("augmentation")

    def loss(self, step: int, chosen: Tensor) -> Tensor:  # noqa: ARG002  # one signature for all
        """Mean cross-entropy of the batch."""
        now = self._now
        logits = now.net(now.batch(now.rows[chosen], now.regime.augmentation, self._draws)).float()
        return F.cross_entropy(logits, now.targets[chosen], label_smoothing=now.regime.label_smoothing)
