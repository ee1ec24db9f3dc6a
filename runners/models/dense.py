"""Networks that classify every pixel: what the loop needs of them, and a small U-Net for a CPU."""

from __future__ import annotations

from abc import ABC, abstractmethod
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


class MapBody(nn.Module, ABC):
    """Images (n, channels, height, width) to features (n, d, h, w) and the deepest map (n, e, h', w'), in two halves."""

    @abstractmethod
    def encoding(self) -> nn.Module:
        """All that `encode` computes with: what pretrained weights are of."""

    @abstractmethod
    def encode(self, x: Tensor) -> list[Tensor]:
        """Feature maps, the deepest last."""

    @abstractmethod
    def decode(self, seen: list[Tensor]) -> Tensor:
        """Features before the last layer, from what `encode` gave."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.encode(x)
        return self.decode(seen), seen[-1]


class DenseNet(nn.Module):
    """`forward(x)` is the head's answer, enlarged to the image: head(dropout(features)), features and deepest map from the body.

    Attributes:
        body: see `MapBody`.
        head: 1×1 convolution (n, d, h, w) → (n, classes, h, w).
        embedding_size: e.
    """

    def __init__(self, body: MapBody, width: int, embedding_size: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(width, classes, 1)
        self.embedding_size = embedding_size

    def maps(self, x: Tensor) -> Maps:
        """Logits, features and embeddings in one pass."""
        features, deepest = self.body(x)
        return Maps(self._classified(features, x), features, deepest.float().mean((2, 3)))

    def perturbed(self, x: Tensor, first: int, share: float) -> tuple[Tensor, Tensor]:
        """Logits of all images, and logits of those from `first` on with channels of the encoder's maps dropped at random.

        Args:
            share: of the channels, each map and image its own; the others grow by 1 / (1 - share). Maps of the images themselves stay.
        """
        seen = self.body.encode(x)
        dropped = [
            part if part.shape == x[first:].shape else F.dropout2d(part, share) for part in (m[first:] for m in seen)
        ]
        features = self.body.decode([torch.cat(both) for both in zip(seen, dropped, strict=True)])
        logits = self._classified(features, x)
        return logits[: len(x)], logits[len(x) :]

    def _classified(self, features: Tensor, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(features))
        if logits.shape[2:] != x.shape[2:]:
            logits = F.interpolate(logits, x.shape[2:], mode="bilinear", align_corners=False)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x).logits


class UNet(MapBody):
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

    def encoding(self) -> nn.Module:
        """The levels on the way down."""
        return self.down

    def encode(self, x: Tensor) -> list[Tensor]:
        """One map a level."""
        seen: list[Tensor] = []
        for number, level in enumerate(self.down):
            x = level(F.max_pool2d(x, 2) if number else x)
            seen.append(x)
        return seen

    def decode(self, seen: list[Tensor]) -> Tensor:
        """Back up, each level beside the one of its size."""
        *before, x = seen
        for level in self.up:
            beside = before.pop()
            x = level(torch.cat([F.interpolate(x, beside.shape[2:]), beside], 1))
        return x


def _double(into: int, out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (into, out):
        layers += [nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
