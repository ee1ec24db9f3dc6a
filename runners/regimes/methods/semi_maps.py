"""Learning from the pool's images on segmentation: a mean teacher's maps as the labels of images that are cut and mixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from protocol.metrics import VOID
from protocol.spec.recipe import Semi
from runners.machine.device import sent
from runners.regimes.methods.pool_maps import PoolMapObjective, boxes, mix_boxes, pseudo_labels
from runners.regimes.methods.s4gan import S4Gan
from runners.regimes.methods.supervised_maps import pixel_cross_entropy
from runners.regimes.methods.unimatch import UniMatch
from runners.regimes.training import Objective, Round


class CutMix(PoolMapObjective):
    """Mean teacher with CutMix (French et al. 2020, arXiv 1906.01916), learned from by pseudo-labels.

    The teacher, the moving average of the weights in evaluation mode, labels the pixels of a pool batch it is sure of; the student
    learns them on images mixed from two of the batch, mean over all pixels, unsure ones counting 0. The paper compares probabilities
    by squared error instead.
    """

    def __init__(self, now: Round, semi: Semi) -> None:
        super().__init__(now, semi)
        self._boxes = now.draws("augmentation", "boxes")
        self._learned = torch.zeros((), dtype=torch.float64, device=now.resident.device)
        self._steps = 0

    def loss(self, step: int, chosen: Tensor) -> Tensor:
        """Supervised loss plus the weighted loss on mixed pool images."""
        now = self._now
        x, maps = self._ours(chosen)
        u, taught = self._taught()
        logits = now.net(torch.cat([x, u])).float()
        ours, theirs = logits.split([len(x), len(u)])
        sure = (taught != VOID).sum() / taught.numel()
        self._learned += sure
        self._steps += 1
        supervised = pixel_cross_entropy(ours, maps, now.regime.label_smoothing)
        return supervised + self._weight(step) * sure * pixel_cross_entropy(theirs, taught)

    @torch.no_grad()
    def _taught(self) -> tuple[Tensor, Tensor]:
        """Mixed images and the teacher's maps of them."""
        u, seen = self._theirs()
        labels = pseudo_labels(self._now.evaluated.eval()(u), self._semi.threshold, seen)
        inside = sent(boxes(len(u), u.shape[2], u.shape[3], self._boxes), u.device)
        return mix_boxes(u, labels, inside)

    def extra(self) -> dict[str, float]:
        """`mask_ratio`: share of the mixed pool images' pixels that were learned from."""
        return {"mask_ratio": float(self._learned) / max(1, self._steps)}


METHODS: Final[dict[str, Callable[[Round, Semi], Objective]]] = {"cutmix": CutMix, "s4gan": S4Gan, "unimatch": UniMatch}
"""Semi-supervised methods of segmentation by the name that `regime.method` gives."""
