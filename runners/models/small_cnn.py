"""A small convolutional network for images of 8×8 to 32×32 that a CPU trains in a moment."""

from __future__ import annotations

from torch import nn

_SMALLEST = 4
"""Side, in pixels, below which nothing is pooled any more."""


def body(channels: int, side: int, width: int) -> tuple[nn.Module, int]:
    """Stages of 3×3 convolution, BatchNorm, ReLU with 2×2 max-pooling between them; the last map is the embedding.

    Widths double from stage to stage up to four times the first. 8×8 images get 2 stages, 28×28 and 32×32 get 4.

    Args:
        channels: of the images.
        side: shorter side of the images in pixels.
        width: channels of the first stage.

    Returns:
        The body for images whose sides are both `side`, and its embedding size.
    """
    layers: list[nn.Module] = []
    into, out = channels, width
    while True:
        layers += [nn.Conv2d(into, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
        if side <= _SMALLEST:
            break
        layers.append(nn.MaxPool2d(2))
        side //= 2
        into, out = out, min(2 * out, 4 * width)
    layers += [nn.AdaptiveAvgPool2d(side), nn.Flatten()]
    return nn.Sequential(*layers), out * side**2
