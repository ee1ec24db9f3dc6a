"""Class-wise mixtures that contextual diversity compares (Agarwal et al. 2020, arXiv 2008.05723)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

_LEAST: Final = 1e-7
"""Weight of a pixel with zero entropy, so that certain pixels still have a mean."""


def class_mixtures(p: Tensor, places: Tensor, count: int) -> Tensor:
    """Return the class-wise mixtures of images or regions, shape (count, k, k), float32 (equation 1).

    Row c is the mean prediction, weighted by entropy, of the pixels whose most probable class is c. Rows of classes
    without pixels are zeros; all others sum to 1.

    Args:
        p: probabilities, shape (b, k, height, width).
        places: image or region of every pixel, shape (b, height, width), in 0 ... count - 1.
        count: number of images or regions.
    """
    classes = p.shape[1]
    flat = p.permute(0, 2, 3, 1).reshape(-1, classes).double()
    weights = torch.special.entr(flat).sum(1) + _LEAST
    cells = places.flatten() * classes + flat.argmax(1)
    total = flat.new_zeros(count * classes, classes).index_add_(0, cells, flat * weights[:, None])
    return (
        (total / total.sum(1, keepdim=True).clamp(min=torch.finfo(total.dtype).tiny))
        .float()
        .view(count, classes, classes)
    )
