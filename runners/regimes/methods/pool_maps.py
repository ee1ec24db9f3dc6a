"""Base of the semi-supervised methods for segmentation."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from protocol.metrics import VOID
from protocol.spec.recipe import Semi
from runners.machine.device import to_device
from runners.models.learner import to_memory_format
from runners.regimes.augment.images_and_masks import joint_batch
from runners.regimes.schedule import batches
from runners.regimes.training import Objective, Round

AREA: Final = 0.5
"""Share of the image that a box covers."""


def boxes(batch: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Draw boxes of half the image's area, at random places.

    The height is log-uniform from 1/2 to 1 of the image's height (French et al. 2020, arXiv 1906.01916, section 3.3).
    Sides are rounded to pixels.

    Returns:
        (b, height, width) bool, true inside the box.
    """
    draws = torch.rand((3, batch), generator=generator, dtype=torch.float64)
    tall = AREA ** draws[0]
    high, wide = ((share * side).round() for share, side in ((tall, height), (AREA / tall, width)))
    top, left = (
        (u * (side - size + 1)).floor() for u, side, size in ((draws[1], height, high), (draws[2], width, wide))
    )
    rows, columns = torch.arange(height)[None], torch.arange(width)[None]
    down = (rows >= top[:, None]) & (rows < (top + high)[:, None])
    across = (columns >= left[:, None]) & (columns < (left + wide)[:, None])
    return down[:, :, None] & across[:, None, :]


def mix_boxes(x: Tensor, maps: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Replace the pixels inside each image's box by those of the next image, in images and maps.

    Args:
        x: (b, channels, height, width) images.
        maps: (b, height, width) their maps.
        inside: (b, height, width) bool, true inside the box; on the same device.
    """
    return torch.where(inside[:, None], x.roll(-1, 0), x), torch.where(inside, maps.roll(-1, 0), maps)


def pseudo_labels(logits: Tensor, threshold: float, visible: Tensor) -> Tensor:
    """Return the most probable class of each pixel, void below the threshold.

    Args:
        logits: (b, classes, height, width).
        threshold: least probability of a pseudo-label, in [0, 1].
        visible: (b, height, width) bool, false where the view lies outside the image; void as well.

    Returns:
        (b, height, width) uint8.
    """
    confidence, predicted = logits.float().softmax(1).max(1)
    return torch.where(visible & (confidence >= threshold), predicted, VOID).to(torch.uint8)


class PoolMapObjective(Objective):
    """Batches and views of labelled images with their masks, and of pool images without masks."""

    def __init__(self, now: Round, semi: Semi) -> None:
        self._now, self._semi = now, semi
        self._pool = torch.from_numpy(np.sort(now.inputs.pool)).to(now.resident.device)
        self._order = batches(len(self._pool), semi.unlabelled_batch, now.steps, now.draws("batches", "unlabelled"))
        self._labelled, self._unlabelled = now.draws("augmentation"), now.draws("augmentation", "weak")

    def _labelled_batch(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return labelled images (b, channels, h, w) and their masks (b, h, w)."""
        return self._view(self._now.rows[chosen], self._now.targets[chosen], self._labelled)

    def _pool_batch(self) -> tuple[Tensor, Tensor]:
        """Return the next pool images and their visible pixels.

        The images are (u, channels, h, w); the pixels (u, h, w) bool, true where the view lies inside the image.
        """
        rows = self._pool[to_device(next(self._order), self._pool.device)]
        height, width = self._now.resident.pixels.shape[1:3]
        blank = torch.zeros((len(rows), height, width), dtype=torch.uint8, device=rows.device)
        u, moved = self._view(rows, blank, self._unlabelled)
        return u, moved != VOID

    def _view(self, rows: Tensor, maps: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        now = self._now
        pixels, places = now.resident.at(rows)
        with torch.autocast(now.resident.device.type, enabled=False):
            x, moved = joint_batch(pixels, places, maps, now.regime.augmentation, now.scaling, draws)
            return to_memory_format(x, now.regime.precision), moved

    def _grey_values(self, x: Tensor) -> Tensor:
        """Undo the scaling: return grey values in [0, 255]."""
        scaling = self._now.scaling
        return x * scaling.deviation + scaling.mean

    def _ramp(self, step: int) -> float:
        return min(1.0, step / self._semi.ramp_steps) if self._semi.ramp_steps else 1.0

    def _weight(self, step: int) -> float:
        return self._semi.weight * self._ramp(step)
