"""What each class is confused with in a place: the mixtures that contextual diversity compares (Agarwal et al. 2020, arXiv 2008.05723)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

_LEAST: Final = 1e-7
"""Weight of a pixel without entropy, so that certain pixels still have a mean."""


def mixed(p: Tensor, places: Tensor, count: int) -> Tensor:
    """(count, k, k) float32: row c is the mean of the predictions of a place's pixels whose most probable class is c, weighted by entropy.

    Equation 1, one image or region at a time. Rows of classes that no pixel of the place has are zeros, all others sum to 1.

    Args:
        p: (b, k, height, width) probabilities.
        places: (b, height, width) place of every pixel, in 0 … count - 1.
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
