"""Random changes of images and masks together, drawn for every image of its own, the whole batch at once.

All draws come from one CPU generator, in an order that does not depend on the device. Images are sampled bilinearly, masks at the
nearest pixel of the very same place; what lies outside the image becomes the pool's mean, and void in the mask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.metrics import VOID
from protocol.spec.recipe import Augmentation
from runners.machine.device import sent
from runners.models.resident import Scaling, as_float

_GREY = (0.299, 0.587, 0.114)
"""Luma of red, green and blue (ITU-R BT.601), as torchvision's colour jitter takes it."""


@dataclass(frozen=True)
class Window:
    """What part of each image a batch shows: rows top + i / zoom and columns left + j / zoom, from right to left where mirrored.

    Attributes:
        zoom: (b,) enlargement; top, left: (b,) in pixels of the image; mirrored: (b,); height, width: of the output.
    """

    zoom: Tensor
    top: Tensor
    left: Tensor
    mirrored: Tensor
    height: int
    width: int

    @classmethod
    def draw(cls, spec: Augmentation, batch: int, height: int, width: int, generator: torch.Generator) -> Window:
        """Enlargement log-uniform in `spec.zoom`, then a crop at a random place, then mirroring with probability 1/2."""
        draws = torch.rand(
            (4, batch), generator=generator, dtype=torch.float64
        )  # always four, so that switches do not shift streams
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
        """(b, height) rows and (b, width) columns of the image that the output's pixels are taken from, as pixel numbers."""
        steps = torch.arange(self.height, dtype=torch.float64), torch.arange(self.width, dtype=torch.float64)
        rows, columns = (
            start[:, None] + (step + 0.5) / self.zoom[:, None] - 0.5
            for start, step in zip((self.top, self.left), steps, strict=True)
        )
        return rows, torch.where(self.mirrored[:, None], columns.flip(1), columns)


def joint_batch(
    pixels: Tensor, rows: Tensor, maps: Tensor, spec: Augmentation, scaling: Scaling, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Augmented and scaled images, and their masks.

    Args:
        pixels: (n, height, width, channels) uint8, all resident images.
        rows: (b,) int64 into them, on the same device.
        maps: (b, height, width) uint8 classes and void, one for each of `rows`.
        generator: on the CPU.

    Returns:
        (b, channels, h, w) float32 and (b, h, w) uint8; h and w are `spec.crop`, or the images' own.
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
    """Crops and mirrors move whole pixels: one gather for both."""
    if (window.height, window.width) == tuple(pixels.shape[1:3]) and not bool(window.mirrored.any()):
        return pixels[rows], maps
    down, across = (sent(place.long(), pixels.device) for place in window.places())
    batch = torch.arange(len(rows), device=pixels.device)
    return (
        pixels[rows[:, None, None], down[:, :, None], across[:, None, :]],
        maps[batch[:, None, None], down[:, :, None], across[:, None, :]],
    )


def _resample(x: Tensor, maps: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    height, width = x.shape[2:]
    down, across = (sent(place, x.device) for place in window.places())
    shape = (len(x), window.height, window.width)
    grid = torch.stack(
        [
            ((across + 0.5) * 2 / width - 1)[:, None].expand(shape),
            ((down + 0.5) * 2 / height - 1)[:, :, None].expand(shape),
        ],
        3,
    )
    images = F.grid_sample(
        x, grid.float(), mode="bilinear", padding_mode="zeros", align_corners=False
    )  # 0 is the pool's mean
    i, j = down.round().long(), across.round().long()
    inside = ((i >= 0) & (i < height))[:, :, None] & ((j >= 0) & (j < width))[:, None, :]
    batch = torch.arange(len(x), device=x.device)
    masks = maps[batch[:, None, None], i.clamp(0, height - 1)[:, :, None], j.clamp(0, width - 1)[:, None, :]]
    return images, masks.masked_fill(~inside, VOID)


def jitter_colours(x: Tensor, factors: Tensor, strength: float) -> Tensor:
    """Brightness, contrast and saturation scaled by a factor an image; grey values stay in 0 … 255. Grey images have no saturation.

    Args:
        x: (b, channels, height, width) in 0 … 255.
        factors: (3, b).
        strength: 0 leaves the images as they are.
    """
    if not strength:
        return x
    bright, contrast, saturation = sent(factors, x.device)[:, :, None, None, None]
    x = (x * bright).clamp(0, 255)
    middle = _grey(x).mean((1, 2, 3), keepdim=True)
    x = (middle + (x - middle) * contrast).clamp(0, 255)
    if x.shape[1] != len(_GREY):
        return x
    grey = _grey(x)
    vivid: Tensor = (grey + (x - grey) * saturation).clamp(0, 255)
    return vivid


def _grey(x: Tensor) -> Tensor:
    """(b, 1, height, width) luma, or the mean of channels that are not three."""
    weights = _GREY if x.shape[1] == len(_GREY) else (1 / x.shape[1],) * x.shape[1]
    grey: Tensor = torch.einsum("bchw,c->bhw", x, sent(torch.tensor(weights), x.device))
    return grey[:, None]
