"""Random augmentation of images and their masks, drawn independently for each image.

All draws come from one CPU generator, in an order that does not depend on the device. Images are sampled bilinearly,
masks at the nearest pixel of the same place. Places outside the image become the pool's mean in the image, and void
in the mask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.metrics import VOID
from protocol.spec.recipe import Augmentation
from runners.machine.device import to_device
from runners.models.resident import Scaling, as_float

_GREY = (0.299, 0.587, 0.114)
"""Luma weights of red, green and blue (ITU-R BT.601), as in torchvision's colour jitter."""


@dataclass(frozen=True)
class Window:
    """Part of each image that a batch shows.

    Output pixel (i, j) shows row top + i / zoom and column left + j / zoom; columns are reversed if mirrored.

    Attributes:
        zoom: (b,) enlargement.
        top: (b,) first row, in pixels of the image.
        left: (b,) first column, in pixels of the image.
        mirrored: (b,) bool.
        height: rows of the output.
        width: columns of the output.
    """

    zoom: Tensor
    top: Tensor
    left: Tensor
    mirrored: Tensor
    height: int
    width: int

    @classmethod
    def draw(cls, spec: Augmentation, batch: int, height: int, width: int, generator: torch.Generator) -> Window:
        """Draw a log-uniform zoom, the place of the crop, and mirroring with probability 1/2."""
        # always four draws, so that switching one change off does not shift the stream of the others
        draws = torch.rand((4, batch), generator=generator, dtype=torch.float64)
        least, most = (math.log(z) for z in spec.zoom) if spec.zoom else (0.0, 0.0)
        zoom = torch.exp(least + (most - least) * draws[0])
        out_height, out_width = (spec.crop, spec.crop) if spec.crop else (height, width)
        top, left = (
            u * (size - out / zoom) for u, size, out in ((draws[1], height, out_height), (draws[2], width, out_width))
        )
        if not spec.zoom:
            top, left = (draws[1] * (height - out_height + 1)).floor(), (draws[2] * (width - out_width + 1)).floor()
        mirrored = (draws[3] < 0.5) & spec.flip
        return cls(zoom, top, left, mirrored, out_height, out_width)

    def places(self) -> tuple[Tensor, Tensor]:
        """Return (b, height) rows and (b, width) columns of the source pixels, as fractions."""
        steps = torch.arange(self.height, dtype=torch.float64), torch.arange(self.width, dtype=torch.float64)
        rows, columns = (
            start[:, None] + (step + 0.5) / self.zoom[:, None] - 0.5
            for start, step in zip((self.top, self.left), steps, strict=True)
        )
        return rows, torch.where(self.mirrored[:, None], columns.flip(1), columns)


def joint_batch(
    pixels: Tensor, rows: Tensor, maps: Tensor, spec: Augmentation, scaling: Scaling, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Augment and scale images, and transform their masks alike.

    Args:
        pixels: (n, height, width, channels) uint8, all resident images.
        rows: (b,) int64 into `pixels`, on the same device.
        maps: (b, height, width) uint8 classes and void, one map per row.
        generator: on the CPU.

    Returns:
        (b, channels, h, w) float32 and (b, h, w) uint8; h and w are `spec.crop`, or the size of the images.
    """
    height, width = pixels.shape[1:3]
    window = Window.draw(spec, len(rows), height, width, generator)
    factors = 1 + spec.colour * (2 * torch.rand((3, len(rows)), generator=generator) - 1)
    if spec.zoom is None:
        images, masks = _cut(pixels, rows, maps, window)
        x = scaling(jitter_colours(as_float(images), factors, spec.colour))
        return x, masks
    return _resample(scaling(jitter_colours(as_float(pixels[rows]), factors, spec.colour)), maps, window)


def _cut(pixels: Tensor, rows: Tensor, maps: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Crop and mirror by one gather operation, since both move whole pixels."""
    if (window.height, window.width) == tuple(pixels.shape[1:3]) and not bool(window.mirrored.any()):
        return pixels[rows], maps
    down, across = (to_device(place.long(), pixels.device) for place in window.places())
    batch = torch.arange(len(rows), device=pixels.device)
    return (
        pixels[rows[:, None, None], down[:, :, None], across[:, None, :]],
        maps[batch[:, None, None], down[:, :, None], across[:, None, :]],
    )


def _resample(x: Tensor, maps: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    height, width = x.shape[2:]
    down, across = (to_device(place, x.device) for place in window.places())
    shape = (len(x), window.height, window.width)
    grid = torch.stack(
        [
            ((across + 0.5) * 2 / width - 1)[:, None].expand(shape),
            ((down + 0.5) * 2 / height - 1)[:, :, None].expand(shape),
        ],
        3,
    )
    # padded with 0, which is the pool's mean
    images = F.grid_sample(x, grid.float(), mode="bilinear", padding_mode="zeros", align_corners=False)
    i, j = down.round().long(), across.round().long()
    inside = ((i >= 0) & (i < height))[:, :, None] & ((j >= 0) & (j < width))[:, None, :]
    batch = torch.arange(len(x), device=x.device)
    masks = maps[batch[:, None, None], i.clamp(0, height - 1)[:, :, None], j.clamp(0, width - 1)[:, None, :]]
    return images, masks.masked_fill(~inside, VOID)


def jitter_colours(x: Tensor, factors: Tensor, strength: float) -> Tensor:
    """Scale brightness, contrast and saturation by one factor per image.

    Grey images have no saturation.

    Args:
        x: (b, channels, height, width) in [0, 255].
        factors: (3, b).
        strength: 0 returns the images unchanged.

    Returns:
        Images of the same shape, in [0, 255].
    """
    if not strength:
        return x
    bright, contrast, saturation = to_device(factors, x.device)[:, :, None, None, None]
    x = (x * bright).clamp(0, 255)
    middle = _grey(x).mean((1, 2, 3), keepdim=True)
    x = (middle + (x - middle) * contrast).clamp(0, 255)
    if x.shape[1] != len(_GREY):
        return x
    grey = _grey(x)
    vivid: Tensor = (grey + (x - grey) * saturation).clamp(0, 255)
    return vivid


def _grey(x: Tensor) -> Tensor:
    """Return (b, 1, height, width) luma, or the mean over channels if there are not three."""
    weights = _GREY if x.shape[1] == len(_GREY) else (1 / x.shape[1],) * x.shape[1]
    grey: Tensor = torch.einsum("bchw,c->bhw", x, to_device(torch.tensor(weights), x.device))
    return grey[:, None]
