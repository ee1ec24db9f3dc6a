"""Random views for self-supervised learning, drawn independently for each image."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.spec.recipe import Views
from runners.machine.device import to_device

_ASPECT: Final = math.log(4 / 3)
_SHARE_JITTERED: Final = 0.8
_LUMA: Final = (0.299, 0.587, 0.114)
_TO_YIQ: Final = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def random_view(x: Tensor, spec: Views, generator: torch.Generator) -> Tensor:
    """Draw one view of each image: crop and mirror, colour jitter, greyscale.

    Follows Chen et al. 2020, arXiv 2002.05709, appendix A; without blur, as in their experiments on CIFAR-10.

    Args:
        x: (b, channels, height, width) float in [0, 255]; 3 channels are red, green, blue.
        generator: on the CPU, so that a batch is augmented identically on every device.

    Returns:
        Images of the same shape and range.
    """
    x = _crop(x, spec, generator)
    if spec.jitter:
        x = _jitter(x, spec.jitter, generator)
    if spec.grey and x.shape[1] == 3:
        chosen = _uniform(len(x), 0, 1, generator) < spec.grey
        x = torch.where(to_device(chosen, x.device), _luma(x).expand_as(x), x)
    return x


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return (low + (high - low) * torch.rand(n, generator=generator)).view(-1, 1, 1, 1)


def _crop(x: Tensor, spec: Views, generator: torch.Generator) -> Tensor:
    """Crop at least `spec.least_area` with aspect ratio 3:4 to 4:3, and enlarge bilinearly."""
    b = len(x)
    if spec.least_area == 1 and not spec.flip:
        return x
    down = across = torch.ones(b)
    if spec.least_area < 1:
        area = _uniform(b, spec.least_area, 1, generator).flatten()
        aspect = _uniform(b, -_ASPECT, _ASPECT, generator).flatten().exp()
        across, down = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    places = 2 * torch.rand(2, b, generator=generator) - 1
    mirrored = torch.rand(b, generator=generator) < (0.5 if spec.flip else 0.0)
    none = torch.zeros(b)
    maps = [torch.where(mirrored, -across, across), none, places[0] * (1 - across), none, down, places[1] * (1 - down)]
    grid = F.affine_grid(to_device(torch.stack(maps, 1).view(b, 2, 3), x.device), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _jitter(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast, saturation and hue, in this order, of four fifths of the images.

    Hue is rotated in the I-Q plane, which is linear and therefore cheap; for small angles it equals the hue of HSV.
    """
    chosen = to_device(_uniform(len(x), 0, 1, generator) < _SHARE_JITTERED, x.device)
    widest = 0.8 * strength
    factors = [to_device(_uniform(len(x), max(0.0, 1 - widest), 1 + widest, generator), x.device) for _ in range(3)]
    turns = _uniform(len(x), -0.2 * strength, 0.2 * strength, generator).flatten()
    y = (x * factors[0]).clamp(0, 255)
    mean = _luma(y).mean((2, 3), keepdim=True)
    y = (mean + (y - mean) * factors[1]).clamp(0, 255)
    if x.shape[1] == 3:
        grey = _luma(y)
        y = (grey + (y - grey) * factors[2]).clamp(0, 255)
        y = _rotate_hue(y, turns)
    return torch.where(chosen, y, x)


def _rotate_hue(x: Tensor, turns: Tensor) -> Tensor:
    to_yiq = torch.tensor(_TO_YIQ)
    cos, sin = (2 * math.pi * turns).cos(), (2 * math.pi * turns).sin()
    middle = torch.zeros(len(x), 3, 3)
    middle[:, 0, 0] = 1
    middle[:, 1, 1], middle[:, 1, 2], middle[:, 2, 1], middle[:, 2, 2] = cos, -sin, sin, cos
    whole = torch.linalg.inv(to_yiq) @ middle @ to_yiq
    return torch.einsum("bij,bjhw->bihw", to_device(whole, x.device), x).clamp(0, 255)


def _luma(x: Tensor) -> Tensor:
    return (
        (x * to_device(torch.tensor(_LUMA), x.device).view(1, 3, 1, 1)).sum(1, keepdim=True) if x.shape[1] == 3 else x
    )
