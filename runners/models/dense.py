"""Networks that classify every pixel: what the loop needs of them, and a small U-Net for a CPU."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its usual name


class Maps(NamedTuple):
    """What a network says of images (n, channels, height, width).

    Attributes:
        logits: (n, classes, height, width).
        features: (n, d, h, w) what the last layer is given, at its own resolution.
        embedded: (n, e) the deepest feature map, averaged over its places.
    """

    logits: Tensor
    features: Tensor
    embedded: Tensor


class DenseNet(nn.Module):
    """`forward(x)` is the head's answer, enlarged to the image: head(dropout(features)), features and deepest map from the body.

    Attributes:
        body: (n, channels, height, width) → features (n, d, h, w) and deepest map (n, e, h', w').
        head: 1×1 convolution (n, d, h, w) → (n, classes, h, w).
        embedding_size: e.
    """

    def __init__(self, body: nn.Module, width: int, embedding_size: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(width, classes, 1)
        self.embedding_size = embedding_size

    def maps(self, x: Tensor) -> Maps:
        """Logits, features and embeddings in one pass."""
        features, deepest = self.body(x)
        logits = self.head(self.dropout(features))
        if logits.shape[2:] != x.shape[2:]:
            logits = F.interpolate(logits, x.shape[2:], mode="bilinear", align_corners=False)
        return Maps(logits, features, deepest.float().mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x).logits


class UNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015, arXiv 1505.04597) with BatchNorm, padded convolutions and nearest-neighbour enlargement.

    Sides need not be powers of two: each enlarged map takes the size of the one it is joined to.

    Args:
        channels: of the images.
        first: channels of the first level; they double from level to level, `levels` times.
        levels: halvings.
    """

    def __init__(self, channels: int, first: int, levels: int) -> None:
        super().__init__()
        widths = [first * 2**level for level in range(levels + 1)]
        self.down = nn.ModuleList(_double(into, out) for into, out in zip([channels, *widths], widths, strict=False))
        self.up = nn.ModuleList(_double(widths[k] + widths[k - 1], widths[k - 1]) for k in range(levels, 0, -1))
        self.width, self.deepest = first, widths[-1]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        seen: list[Tensor] = []
        for number, level in enumerate(self.down):
            x = level(F.max_pool2d(x, 2) if number else x)
            seen.append(x)
        deepest = seen.pop()
        for level in self.up:
            beside = seen.pop()
            x = level(torch.cat([F.interpolate(x, beside.shape[2:]), beside], 1))
        return x, deepest


def _double(into: int, out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (into, out):
        layers += [nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
