"""Networks that classify every pixel, and a small U-Net for a CPU."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its usual name


class Maps(NamedTuple):
    """Output of a network for images (n, channels, height, width).

    Attributes:
        logits: (n, classes, height, width).
        features: (n, d, h, w) input of the last layer, at its own resolution.
        embedded: (n, e) the deepest feature map, averaged over its pixels.
    """

    logits: Tensor
    features: Tensor
    embedded: Tensor


class MapBody(nn.Module, ABC):
    """Body of a segmentation network: an encoder and a decoder.

    It maps images (n, channels, height, width) to features (n, d, h, w) and the deepest map (n, e, h', w').
    """

    @abstractmethod
    def encoding(self) -> nn.Module:
        """Return the module that `encode` uses, which pretrained weights are loaded into."""

    @abstractmethod
    def encode(self, x: Tensor) -> list[Tensor]:
        """Compute the feature maps, the deepest last."""

    @abstractmethod
    def decode(self, maps: list[Tensor]) -> Tensor:
        """Compute the features before the last layer from the feature maps."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.encode(x)
        return self.decode(maps), maps[-1]


class DenseNet(nn.Module):
    """Segmentation network: `forward(x)` is head(dropout(features)), enlarged to the image.

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
        """Compute logits, features and embeddings in one pass."""
        features, deepest = self.body(x)
        return Maps(self._classify(features, x), features, deepest.float().mean((2, 3)))

    def perturbed(self, x: Tensor, first: int, share: float) -> tuple[Tensor, Tensor]:
        """Compute logits of all images, and of those from `first` on with dropped channels.

        Args:
            first: position of the first image whose channels are dropped.
            share: probability of dropping a channel, drawn per map and image; the others grow by 1 / (1 - share).
                Maps that have the shape of the images are not changed.
        """
        maps = self.body.encode(x)
        dropped = [
            part if part.shape == x[first:].shape else F.dropout2d(part, share) for part in (m[first:] for m in maps)
        ]
        features = self.body.decode([torch.cat(both) for both in zip(maps, dropped, strict=True)])
        logits = self._classify(features, x)
        return logits[: len(x)], logits[len(x) :]

    def _classify(self, features: Tensor, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(features))
        if logits.shape[2:] != x.shape[2:]:
            logits = F.interpolate(logits, x.shape[2:], mode="bilinear", align_corners=False)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x).logits


class UNet(MapBody):
    """U-Net with BatchNorm, padded convolutions and nearest-neighbour enlargement.

    Ronneberger et al. 2015, arXiv 1505.04597. Sides need not be powers of two: each enlarged map takes the size of the
    map that it is concatenated with.

    Args:
        channels: channels of the images.
        first: channels of the first level; they double from level to level.
        levels: number of halvings.
    """

    def __init__(self, channels: int, first: int, levels: int) -> None:
        super().__init__()
        widths = [first * 2**level for level in range(levels + 1)]
        self.down = nn.ModuleList(_double(into, out) for into, out in zip([channels, *widths], widths, strict=False))
        self.up = nn.ModuleList(_double(widths[k] + widths[k - 1], widths[k - 1]) for k in range(levels, 0, -1))
        self.width, self.deepest = first, widths[-1]

    def encoding(self) -> nn.Module:
        """Return the levels of the contracting path."""
        return self.down

    def encode(self, x: Tensor) -> list[Tensor]:
        """Compute one map per level."""
        maps: list[Tensor] = []
        for number, level in enumerate(self.down):
            x = level(F.max_pool2d(x, 2) if number else x)
            maps.append(x)
        return maps

    def decode(self, maps: list[Tensor]) -> Tensor:
        """Enlarge the deepest map level by level, each concatenated with the map of its size."""
        *skips, x = maps
        for level in self.up:
            skip = skips.pop()
            x = level(torch.cat([F.interpolate(x, skip.shape[2:]), skip], 1))
        return x


def _double(into: int, out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (into, out):
        layers += [nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
