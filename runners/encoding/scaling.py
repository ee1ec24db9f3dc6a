"""Images brought to one side, before an encoder sees them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name


def fitted(x: Tensor, side: int) -> Tensor:
    """Images (b, channels, height, width) in [0, 1], scaled until the shorter side is `side`, and the middle of the longer one."""
    height, width = x.shape[2:]
    if min(height, width) != side:
        size = [max(side, round(length * side / min(height, width))) for length in (height, width)]
        x = F.interpolate(x, size=size, mode="bicubic", antialias=True).clamp(0, 1)
    top, left = ((length - side) // 2 for length in x.shape[2:])
    return x[:, :, top : top + side, left : left + side]


def scaled(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The same of uint8 images (b, height, width, channels)."""
    x = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255
    out: NDArray[np.uint8] = (fitted(x, side) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return out
