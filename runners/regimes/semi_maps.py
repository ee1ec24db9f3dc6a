"""Learning from the pool's images on segmentation: a mean teacher's maps as the labels of images that are cut and mixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor

from protocol.metrics import VOID
from protocol.spec import Semi
from runners.regimes.joint import joint_batch
from runners.regimes.learner import laid_out
from runners.regimes.schedule import batches
from runners.regimes.supervised_maps import pixel_cross_entropy
from runners.regimes.training import Objective, Round

AREA: Final = 0.5
"""Of the image, in a box."""


def boxes(batch: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """(b, height, width) bool, true in a box of half the image's area: its height log-uniform in 1/2 … 1 of the image's, anywhere.

    The way of French et al. 2020, arXiv 1906.01916, section 3.3; sides are rounded to pixels.
    """
    draws = torch.rand((3, batch), generator=generator, dtype=torch.float64)
    tall = AREA ** draws[0]
    high, wide = ((share * side).round() for share, side in ((tall, height), (AREA / tall, width)))
    top, left = ((u * (side - size + 1)).floor() for u, side, size in ((draws[1], height, high), (draws[2], width, wide)))
    rows, columns = torch.arange(height)[None], torch.arange(width)[None]
    down = (rows >= top[:, None]) & (rows < (top + high)[:, None])
    across = (columns >= left[:, None]) & (columns < (left + wide)[:, None])
    return down[:, :, None] & across[:, None, :]


def pseudo_labels(logits: Tensor, threshold: float, known: Tensor) -> Tensor:
    """(b, height, width) uint8 most probable classes of (b, k, height, width) logits, void where less probable than the threshold.

    Args:
        known: (b, height, width) false where the view shows nothing of the image; void, too.
    """
    confidence, predicted = logits.float().softmax(1).max(1)
    return torch.where(known & (confidence >= threshold), predicted, VOID).to(torch.uint8)


def mixed(x: Tensor, maps: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Each image with the next one's pixels inside its box, the last with the first's; maps alike.

    Args:
        x: (b, channels, height, width); maps: (b, height, width); inside: (b, height, width) bool, on the same device.
    """
    return torch.where(inside[:, None], x.roll(-1, 0), x), torch.where(inside, maps.roll(-1, 0), maps)


class CutMix(Objective):
    """Mean teacher with CutMix (French et al. 2020, arXiv 1906.01916), learned from by pseudo-labels.

    The teacher, the moving average of the weights in evaluation mode, labels the pixels of a pool batch it is sure of; the student
    learns them on images mixed from two of the batch, mean over all pixels, unsure ones counting 0. The paper compares probabilities
    by squared error instead.
    """

    def __init__(self, now: Round, semi: Semi) -> None:
        self._now, self._semi = now, semi
        self._pool = torch.from_numpy(np.sort(now.inputs.pool)).to(now.resident.device)
        self._order = batches(len(self._pool), semi.unlabelled_batch, now.steps, now.draws("batches", "unlabelled"))
        self._labelled, self._unlabelled, self._boxes = (now.draws("augmentation", *k) for k in ((), ("weak",), ("boxes",)))
        self._learned = torch.zeros((), dtype=torch.float64, device=now.resident.device)
        self._steps = 0

    def loss(self, step: int, chosen: Tensor) -> Tensor:
        """Supervised loss plus the weighted loss on mixed pool images."""
        now = self._now
        x, maps = self._view(now.rows[chosen], now.targets[chosen], self._labelled)
        u, taught = self._taught(self._pool[next(self._order).to(now.resident.device)])
        logits = now.net(torch.cat([x, u])).float()
        ours, theirs = logits.split([len(x), len(u)])
        sure = (taught != VOID).sum() / taught.numel()
        self._learned += sure
        self._steps += 1
        supervised = pixel_cross_entropy(ours, maps, now.regime.label_smoothing)
        return supervised + self._weight(step) * sure * pixel_cross_entropy(theirs, taught)

    @torch.no_grad()
    def _taught(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mixed images and the teacher's maps of them."""
        height, width = self._now.resident.pixels.shape[1:3]
        blank = torch.zeros((len(rows), height, width), dtype=torch.uint8, device=rows.device)
        u, seen = self._view(rows, blank, self._unlabelled)
        labels = pseudo_labels(self._now.shown.eval()(u), self._semi.threshold, seen != VOID)
        inside = boxes(len(u), u.shape[2], u.shape[3], self._boxes).to(u.device)
        return mixed(u, labels, inside)

    def _view(self, rows: Tensor, maps: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        now = self._now
        pixels, places = now.resident.at(rows)
        with torch.autocast(now.resident.device.type, enabled=False):
            x, moved = joint_batch(pixels, places, maps, now.regime.augmentation, now.scaling, draws)
            return laid_out(x, now.regime.precision), moved

    def _weight(self, step: int) -> float:
        return self._semi.weight * (min(1.0, step / self._semi.ramp_steps) if self._semi.ramp_steps else 1.0)

    def extra(self) -> dict[str, float]:
        """`mask_ratio`: share of the mixed pool images' pixels that were learned from."""
        return {"mask_ratio": float(self._learned) / max(1, self._steps)}


METHODS: Final[dict[str, Callable[[Round, Semi], Objective]]] = {"cutmix": CutMix}
"""Semi-supervised methods of segmentation by the name that `regime.method` gives."""
