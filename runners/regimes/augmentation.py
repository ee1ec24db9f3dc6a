"""Random changes of training batches, drawn for every image of its own.

All draws come from one CPU generator, so a batch is changed alike on every device, and choosing which
images an operation touches never waits for an accelerator.
"""

from __future__ import annotations

import torch
from torch import Tensor

from protocol.errors import Fault, InputError
from protocol.spec import Augmentation
from runners.regimes.randaugment import rand_augment
from runners.regimes.resident import Scaling, as_float


def refuse_impossible(spec: Augmentation, height: int, width: int) -> None:
    """Raise InputError if the images are too small for the augmentation, or are features, which have none."""
    if height == width == 1 and spec != Augmentation():
        raise InputError(Fault("regime.augmentation", "none for frozen features", "an augmentation", "remove the table"))
    if spec.shift >= min(height, width):
        where, expected = "regime.augmentation.shift", f"less than the images' shorter side, {min(height, width)} pixels"
        raise InputError(Fault(where, expected, str(spec.shift), "lower it"))
    if spec.crop and spec.crop > min(height, width):
        expected = f"at most the images' shorter side, {min(height, width)} pixels"
        raise InputError(Fault("regime.augmentation.crop", expected, str(spec.crop), "lower it"))


def training_batch(pixels: Tensor, indices: Tensor, spec: Augmentation, scaling: Scaling, generator: torch.Generator) -> Tensor:
    """Augmented and scaled images, in the order of the indices: flip and shift, RandAugment, scaling, Cutout.

    Args:
        pixels: (n, height, width, channels) uint8, all resident images.
        indices: (b,) int64 into them, on the same device.
        generator: on the CPU.

    Returns:
        (b, channels, height, width) float32.
    """
    x = as_float(flipped_and_shifted(pixels, indices, spec.flip, spec.shift, generator))
    if spec.rand_augment is not None:
        x = rand_augment(x, spec.rand_augment.ops, spec.rand_augment.magnitude, generator)
    x = scaling(x)
    return cutout(x, spec.cutout, generator) if spec.cutout else x


def flipped_and_shifted(pixels: Tensor, indices: Tensor, flip: bool, shift: int, generator: torch.Generator) -> Tensor:
    """Mirrored with probability 1/2 and shifted by up to `shift` pixels each way with reflected borders: one gather.

    Shifting by reflection is padding by reflection and cropping at a random place.

    Returns:
        (b, height, width, channels) uint8.
    """
    if not flip and not shift:
        return pixels[indices]
    b, height, width = len(indices), pixels.shape[1], pixels.shape[2]
    rows, columns = torch.arange(height).expand(b, height), torch.arange(width).expand(b, width)
    if shift:
        moves = torch.randint(-shift, shift + 1, (2, b, 1), generator=generator)
        rows, columns = _reflected(rows + moves[0], height), _reflected(columns + moves[1], width)
    if flip:
        mirrored = torch.rand((b, 1), generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    device = pixels.device
    first = (indices * (height * width))[:, None, None]
    places = first + (rows * width)[:, :, None].to(device) + columns[:, None, :].to(device)
    return pixels.view(-1, pixels.shape[3]).index_select(0, places.flatten()).view(b, height, width, -1)


def _reflected(places: Tensor, size: int) -> Tensor:
    """-1 becomes 1, `size` becomes `size - 2`: the border itself is not repeated."""
    return (size - 1) - ((size - 1) - places.abs()).abs()


def cutout(x: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square of `side` pixels, centred anywhere in the image and cut off at its border, set to 0, the pool's mean.

    DeVries and Taylor 2017, arXiv 1708.04552, section 3.2.
    """
    b, _, height, width = x.shape
    tops = torch.randint(0, height, (b, 1), generator=generator) - side // 2
    lefts = torch.randint(0, width, (b, 1), generator=generator) - side // 2
    rows, columns = torch.arange(height), torch.arange(width)
    in_rows = (rows >= tops) & (rows < tops + side)
    in_columns = (columns >= lefts) & (columns < lefts + side)
    blank = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return x.masked_fill(blank.to(x.device), 0.0)
