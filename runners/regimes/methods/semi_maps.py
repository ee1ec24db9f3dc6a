"""Semi-supervised segmentation: CutMix with a mean teacher, s4GAN, and UniMatch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from protocol.metrics import VOID
from protocol.spec.recipe import Semi
from runners.machine.device import to_device
from runners.regimes.methods.pool_maps import PoolMapObjective, boxes, mix_boxes, pseudo_labels
from runners.regimes.methods.s4gan import S4Gan
from runners.regimes.methods.supervised_maps import pixel_cross_entropy
from runners.regimes.methods.unimatch import UniMatch
from runners.regimes.training import Objective, Round


class CutMix(PoolMapObjective):
    """Mean teacher with CutMix (French et al. 2020, arXiv 1906.01916), with pseudo-labels.

    The teacher is the moving average of the weights in evaluation mode. It labels those pixels of a pool batch that
    it is confident of. The student learns them on images mixed from two of the batch; the loss is the mean over all
    pixels, and pixels without a pseudo-label count 0. The paper compares probabilities by squared error instead.
    """

    def __init__(self, now: Round, semi: Semi) -> None:
        super().__init__(now, semi)
        self._boxes = now.draws("augmentation", "boxes")
        self._learned = torch.zeros((), dtype=torch.float64, device=now.resident.device)
        self._steps = 0

    def loss(self, step: int, chosen: Tensor) -> Tensor:
        """Compute the supervised loss plus the weighted loss on mixed pool images."""
        now = self._now
        x, maps = self._labelled_batch(chosen)
        u, pseudo = self._mixed_batch()
        logits = now.net(torch.cat([x, u])).float()
        ours, theirs = logits.split([len(x), len(u)])
        confident = (pseudo != VOID).sum() / pseudo.numel()
        self._learned += confident
        self._steps += 1
        supervised = pixel_cross_entropy(ours, maps, now.regime.label_smoothing)
        return supervised + self._weight(step) * confident * pixel_cross_entropy(theirs, pseudo)

    @torch.no_grad()
    def _mixed_batch(self) -> tuple[Tensor, Tensor]:
        """Return mixed pool images and the teacher's pseudo-labels of them."""
        u, visible = self._pool_batch()
        labels = pseudo_labels(self._now.evaluated.eval()(u), self._semi.threshold, visible)
        inside = to_device(boxes(len(u), u.shape[2], u.shape[3], self._boxes), u.device)
        return mix_boxes(u, labels, inside)

    def extra(self) -> dict[str, float]:
        """Return `mask_ratio`, the share of pixels of mixed pool images that were learned from."""
        return {"mask_ratio": float(self._learned) / max(1, self._steps)}


METHODS: Final[dict[str, Callable[[Round, Semi], Objective]]] = {"cutmix": CutMix, "s4gan": S4Gan, "unimatch": UniMatch}
"""Semi-supervised methods for segmentation by the name in `regime.method`."""
