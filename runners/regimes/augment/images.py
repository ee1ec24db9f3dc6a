"""Random augmentation of training batches, drawn independently for each image.

All draws come from one CPU generator. So a batch is augmented identically on every device, and selecting the images
that an operation changes never waits for an accelerator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from protocol.errors import Fault, InputError
from protocol.spec.recipe import Augmentation, Regime
from runners.machine.device import to_device
from runners.models.resident import Scaling, as_float
from runners.regimes.augment.randaugment import Layer, draw_layers, rand_augment


def refuse_impossible(regime: Regime, height: int, width: int) -> None:
    """Raise InputError if the images are too small for an augmentation, or are features."""
    _refuse_impossible(regime.augmentation, height, width)
    if regime.semi and regime.semi.strong:
        _refuse_impossible(regime.semi.strong, height, width)


def _refuse_impossible(spec: Augmentation, height: int, width: int) -> None:
    if height == width == 1 and spec != Augmentation():
        raise InputError(
            Fault(
                "regime.augmentation",
                "none for frozen features",
                f"{spec.model_dump(exclude_defaults=True)}",
                "remove the table",
            )
        )
    if spec.shift >= min(height, width):
        where, expected = (
            "regime.augmentation.shift",
            f"less than the images' shorter side, {min(height, width)} pixels",
        )
        raise InputError(Fault(where, expected, str(spec.shift), "lower it"))
    if spec.crop and spec.crop > min(height, width):
        expected = f"at most the images' shorter side, {min(height, width)} pixels"
        raise InputError(Fault("regime.augmentation.crop", expected, str(spec.crop), "lower it"))


@dataclass(frozen=True)
class Draws:
    """All random draws for a batch of b images, on the CPU.

    Attributes:
        moves: (2, b, 1) pixels down and across; `None`: no shift.
        mirrored: (b, 1) bool; `None`: no flip.
        layers: (choice (b,), signed strength (b,)) of each layer of RandAugment.
        corners: (2, b, 1) top and left of the square that is cut out; `None`: no Cutout.
    """

    moves: Tensor | None = None
    mirrored: Tensor | None = None
    layers: tuple[Layer, ...] = ()
    corners: Tensor | None = None

    @classmethod
    def draw(cls, spec: Augmentation, batch: int, height: int, width: int, generator: torch.Generator) -> Draws:
        """Draw everything that `spec` leaves to chance, in a fixed order."""
        moves = torch.randint(-spec.shift, spec.shift + 1, (2, batch, 1), generator=generator) if spec.shift else None
        mirrored = torch.rand((batch, 1), generator=generator) < 0.5 if spec.flip else None
        rich = spec.rand_augment
        layers = draw_layers(batch, rich.ops, rich.magnitude, generator) if rich else ()
        corners = None
        if spec.cutout:
            corners = (
                torch.stack([torch.randint(0, side, (batch, 1), generator=generator) for side in (height, width)])
                - spec.cutout // 2
            )
        return cls(moves, mirrored, layers, corners)

    @classmethod
    def concatenate(cls, parts: Sequence[Draws]) -> Draws:
        """Concatenate the draws of several batches of one augmentation."""
        layers = zip(*(part.layers for part in parts), strict=True)
        return cls(
            _concatenate([part.moves for part in parts], 1),
            _concatenate([part.mirrored for part in parts], 0),
            tuple((torch.cat([c for c, _ in layer]), torch.cat([s for _, s in layer])) for layer in layers),
            _concatenate([part.corners for part in parts], 1),
        )


def _concatenate(parts: Sequence[Tensor | None], dimension: int) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present, dimension) if present else None


def training_batch(pixels: Tensor, indices: Tensor, spec: Augmentation, scaling: Scaling, draws: Draws) -> Tensor:
    """Augment and scale images: flip and shift, RandAugment, scaling, Cutout.

    Args:
        pixels: (n, height, width, channels) uint8, all resident images.
        indices: (b,) int64 into them, on the same device.

    Returns:
        (b, channels, height, width) float32.
    """
    x = as_float(flip_and_shift(pixels, indices, draws.moves, draws.mirrored))
    x = scaling(rand_augment(x, draws.layers))
    return x if draws.corners is None else cutout(x, spec.cutout, draws.corners)


def flip_and_shift(pixels: Tensor, indices: Tensor, moves: Tensor | None, mirrored: Tensor | None) -> Tensor:
    """Flip and shift images with reflected borders, by one gather operation.

    The shift equals padding by reflection and cropping at a random place.

    Args:
        moves: (2, b, 1) pixels down and across; `None`: no shift.
        mirrored: (b, 1) bool; `None`: no flip.

    Returns:
        (b, height, width, channels) uint8.
    """
    if moves is None and mirrored is None:
        return pixels[indices]
    b, height, width = len(indices), pixels.shape[1], pixels.shape[2]
    rows, columns = torch.arange(height).expand(b, height), torch.arange(width).expand(b, width)
    if moves is not None:
        rows, columns = _reflect(rows + moves[0], height), _reflect(columns + moves[1], width)
    if mirrored is not None:
        columns = torch.where(mirrored, columns.flip(1), columns)
    device = pixels.device
    first = (indices * (height * width))[:, None, None]
    places = first + to_device(rows * width, device)[:, :, None] + to_device(columns, device)[:, None, :]
    return pixels.view(-1, pixels.shape[3]).index_select(0, places.flatten()).view(b, height, width, -1)


def _reflect(places: Tensor, size: int) -> Tensor:
    """Reflect indices beyond the border: -1 becomes 1, `size` becomes `size - 2`.

    The border itself is not repeated.
    """
    return (size - 1) - ((size - 1) - places.abs()).abs()


def cutout(x: Tensor, side: int, corners: Tensor) -> Tensor:
    """Set a square of `side` pixels to 0, which is the pool's mean after scaling (Cutout).

    The square is centred anywhere in the image and may extend beyond its border (DeVries and Taylor 2017,
    arXiv 1708.04552, section 3.2).

    Args:
        corners: (2, b, 1) top and left of each image's square.
    """
    tops, lefts = corners
    rows, columns = torch.arange(x.shape[2]), torch.arange(x.shape[3])
    in_rows = (rows >= tops) & (rows < tops + side)
    in_columns = (columns >= lefts) & (columns < lefts + side)
    blank = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return x.masked_fill(to_device(blank, x.device), 0.0)
