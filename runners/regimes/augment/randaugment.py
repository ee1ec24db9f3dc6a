"""RandAugment on batches, with operation and direction drawn independently for each image.

Cubuk et al. 2020, arXiv 1909.13719: the 14 operations of section 3, with the ranges of the authors' code (as in
torchvision), a fixed magnitude, and a random direction where there are two. Existing batched implementations draw
once for the whole batch, hence this one. Images are float (b, channels, height, width) in [0, 255]. Interpolation is
bilinear; uncovered places become black.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from runners.machine.device import to_device

_LUMA: Final = (0.2989, 0.587, 0.114)
Layer = tuple[Tensor, Tensor]
"""Operation per image, (b,) int64 in the order of GEOMETRIC and COLOUR, and signed strength, (b,) in [-1, 1]."""
Operation = Callable[[Tensor, Tensor], Tensor]
"""(images (m, c, h, w), signed strength (m, 1, 1, 1) in [-1, 1]) → images."""


def draw_layers(batch: int, ops: int, magnitude: float, generator: torch.Generator) -> tuple[Layer, ...]:
    """Draw `ops` successive operations for each of `batch` images, each uniformly from all 14.

    Args:
        magnitude: from 0 (almost no change) to 10 (largest of the paper).
        generator: on the CPU.
    """
    layers = []
    for _ in range(ops):
        choice = torch.randint(0, len(GEOMETRIC) + len(COLOUR), (batch,), generator=generator)
        sign = 1.0 - 2.0 * torch.randint(0, 2, (batch,), generator=generator)
        layers.append((choice, sign * (magnitude / 10)))
    return tuple(layers)


def rand_augment(x: Tensor, layers: Iterable[Layer]) -> Tensor:
    """Apply the drawn operations, layer by layer.

    Args:
        x: (b, c, h, w) float in [0, 255]; 3 channels are red, green, blue.
    """
    for choice, strength in layers:
        x = _one_layer(x, choice, strength)
    return x


def _one_layer(x: Tensor, choice: Tensor, strength: Tensor) -> Tensor:
    """Sort the images by operation, apply each operation to its slice, and restore the order."""
    order = torch.argsort(choice, stable=True)
    sort, unsort = to_device(order, x.device), to_device(torch.argsort(order), x.device)
    counts = torch.bincount(choice, minlength=len(GEOMETRIC) + len(COLOUR)).tolist()
    strength, moved = strength[order], sum(counts[: len(GEOMETRIC)])
    sizes = [moved, *counts[len(GEOMETRIC) :]]
    parts = torch.split(_rows(x, sort), sizes)
    strengths = torch.split(to_device(strength, x.device).view(-1, 1, 1, 1), sizes)
    done = []
    if moved:
        geometric = zip(GEOMETRIC.values(), torch.split(strength[:moved], counts[: len(GEOMETRIC)]), strict=True)
        maps = torch.cat([f(part, x.shape[2], x.shape[3]) for f, part in geometric])
        done.append(warp(parts[0], to_device(maps, x.device)))
    done += [f(part, s) for f, part, s in zip(COLOUR.values(), parts[1:], strengths[1:], strict=True) if len(part)]
    return _rows(torch.cat(done), unsort)


def _rows(x: Tensor, order: Tensor) -> Tensor:
    """Select images in the given order.

    Channels-last in memory, so that whole images are copied at once.
    """
    return x.permute(0, 2, 3, 1).index_select(0, order).permute(0, 3, 1, 2)


def warp(x: Tensor, maps: Tensor) -> Tensor:
    """Warp images by affine maps (m, 2, 3) from output to input coordinates, both in [-1, 1]."""
    return F.grid_sample(
        x, _places(maps, x.shape[2], x.shape[3]), mode="bilinear", padding_mode="zeros", align_corners=False
    )


def _places(maps: Tensor, height: int, width: int) -> Tensor:
    """Compute `F.affine_grid` as a sum of rows and columns.

    That is faster, and gives the same bytes on a CPU.
    """
    across, down = (torch.linspace(-1, 1, n, device=maps.device) * (n - 1) / n for n in (width, height))
    rows, columns = maps[:, :, 1, None] * down, maps[:, :, 0, None] * across
    return (columns[:, :, None, :] + rows[:, :, :, None] + maps[:, :, 2, None, None]).permute(0, 2, 3, 1)


def rotation(strength: Tensor, height: int, width: int) -> Tensor:
    """Return maps that rotate by up to 30 degrees about the centre."""
    angle = strength * (math.pi / 6)
    cos, sin = torch.cos(angle), torch.sin(angle)
    return _maps(cos, -sin * (height / width), 0 * sin, sin * (width / height), cos, 0 * sin)


def shear_x(strength: Tensor, height: int, width: int) -> Tensor:
    """Return maps that shift each row by up to 0.3 of its distance from the top."""
    slope = 0.3 * strength * (height / width)
    return _maps(torch.ones_like(slope), slope, slope, 0 * slope, torch.ones_like(slope), 0 * slope)


def shear_y(strength: Tensor, height: int, width: int) -> Tensor:
    """Return maps that shift each column by up to 0.3 of its distance from the left."""
    slope = 0.3 * strength * (width / height)
    return _maps(torch.ones_like(slope), 0 * slope, 0 * slope, slope, torch.ones_like(slope), slope)


def translation_x(strength: Tensor, height: int, width: int) -> Tensor:  # noqa: ARG001  # one signature for all
    """Return maps that shift by up to 150/331 of the width."""
    step = strength * (2 * 150 / 331)
    return _maps(torch.ones_like(step), 0 * step, step, 0 * step, torch.ones_like(step), 0 * step)


def translation_y(strength: Tensor, height: int, width: int) -> Tensor:  # noqa: ARG001  # one signature for all
    """Return maps that shift by up to 150/331 of the height."""
    step = strength * (2 * 150 / 331)
    return _maps(torch.ones_like(step), 0 * step, 0 * step, 0 * step, torch.ones_like(step), step)


def _maps(*entries: Tensor) -> Tensor:
    return torch.stack(entries, dim=1).view(-1, 2, 3)


def identity(x: Tensor, strength: Tensor) -> Tensor:  # noqa: ARG001  # one signature for all
    """Return the images unchanged."""
    return x


def brightness(x: Tensor, strength: Tensor) -> Tensor:
    """Multiply by up to 1 ± 0.9."""
    return (x * (1 + 0.9 * strength)).clamp(0, 255)


def colour(x: Tensor, strength: Tensor) -> Tensor:
    """Multiply the saturation by up to 1 ± 0.9; grey images stay unchanged."""
    return _blend(_luma(x), x, strength) if x.shape[1] == 3 else x


def contrast(x: Tensor, strength: Tensor) -> Tensor:
    """Multiply the distance from the mean grey value by up to 1 ± 0.9."""
    return _blend(_luma(x).mean((1, 2, 3), keepdim=True), x, strength)


def sharpness(x: Tensor, strength: Tensor) -> Tensor:
    """Multiply the distance from a smoothed copy by up to 1 ± 0.9; border pixels stay unchanged."""
    if min(x.shape[2:]) < 3:
        return x
    rows = x[:, :, :-2] + x[:, :, 1:-1] + x[:, :, 2:]
    # not a convolution, whose rounding depends on the number of images
    sums = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    smooth = x.clone()
    smooth[:, :, 1:-1, 1:-1] = ((sums + 4 * x[:, :, 1:-1, 1:-1]) / 13).round()
    return _blend(smooth, x, strength)


def posterise(x: Tensor, strength: Tensor) -> Tensor:
    """Keep the upper 8 to 4 bits."""
    step = 2.0 ** (4 * strength.abs()).round()
    return (x / step).floor() * step


def solarise(x: Tensor, strength: Tensor) -> Tensor:
    """Invert values of at least a threshold, from 255 (weak) to 0 (strong)."""
    return torch.where(x >= 255 * (1 - strength.abs()), 255 - x, x)


def stretch(x: Tensor, strength: Tensor) -> Tensor:  # noqa: ARG001  # one signature for all
    """Stretch every channel to the full range [0, 255] (autocontrast).

    Constant channels stay unchanged.
    """
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    span = high - low
    return torch.where(span > 0, (x - low) * (255 / span.clamp(min=1e-6)), x).clamp(0, 255)


def equalise(x: Tensor, strength: Tensor) -> Tensor:  # noqa: ARG001  # one signature for all
    """Equalise the histogram of every channel by PIL's integer rule.

    Channels with too few pixels stay unchanged.
    """
    values = x.round().long().flatten(2)
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.int64, device=x.device).scatter_add_(
        2, values, torch.ones_like(values)
    )
    brightest = counts.gather(2, values.amax(2, keepdim=True))
    step = (values.shape[2] - brightest) // 255
    below = counts.cumsum(2) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp(0, 255)
    return torch.where(step > 0, table.gather(2, values).float(), values.float()).view_as(x)


def _luma(x: Tensor) -> Tensor:
    if x.shape[1] != 3:
        return x
    weights = to_device(torch.tensor(_LUMA), x.device).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True).floor()  # an integer grey value, as in image files


def _blend(far: Tensor, x: Tensor, strength: Tensor) -> Tensor:
    return (far + (x - far) * (1 + 0.9 * strength)).clamp(0, 255)


GEOMETRIC: Final[dict[str, Callable[[Tensor, int, int], Tensor]]] = {
    "rotate": rotation,
    "shear-x": shear_x,
    "shear-y": shear_y,
    "translate-x": translation_x,
    "translate-y": translation_y,
}
COLOUR: Final[dict[str, Operation]] = {
    "identity": identity,
    "brightness": brightness,
    "colour": colour,
    "contrast": contrast,
    "sharpness": sharpness,
    "posterise": posterise,
    "solarise": solarise,
    "autocontrast": stretch,
    "equalise": equalise,
}
