"""Supervised learning, with or without augmentation."""

from __future__ import annotations

import torch
from torch import Tensor

from runners.regimes.training import Objective, Round


class Supervised(Objective):
    """Cross-entropy on the labelled images."""

    def __init__(self, now: Round) -> None:
        self._now = now
        self._views = now.labelled_views()
        self._right = torch.zeros((), dtype=torch.int64, device=now.resident.device)
        self._seen = 0

    def loss(self, step: int, chosen: Tensor) -> Tensor:  # noqa: ARG002  # one signature for all
        """Compute the mean cross-entropy of the batch."""
        now = self._now
        logits = now.net(next(self._views)).float()
        targets = now.targets[chosen]
        if now.regime.stop_at is not None:
            self._right += (logits.detach().argmax(1) == targets).sum()
            self._seen += len(targets)
        return now.cross_entropy(logits, targets)

    def accuracy(self) -> float:
        """Return the share of images predicted correctly since the last call."""
        share = int(self._right) / max(1, self._seen)
        self._right.zero_()
        self._seen = 0
        return share
