"""A small convolutional network for images of 8×8 to 32×32 that a CPU trains in a moment."""

from __future__ import annotations

from torch import nn

_SMALLEST = 4
"""Side in pixels at or below which maps are not halved any more."""
_LARGE = 16
"""Side in pixels from which the first convolution halves the map itself, since it would take most of the time."""


def body(channels: int, height: int, width: int, first: int) -> tuple[nn.Module, int]:
    """Build stages of 3×3 convolution, BatchNorm and ReLU, which halve the map until it is small.

    The last map, flattened, is the embedding. Channels double from stage to stage, up to four times the first. Images
    of 8×8 get 2 stages, images of 28×28 and 32×32 get 4.

    Args:
        channels: channels of the images.
        height: height of the images in pixels.
        width: width of the images in pixels.
        first: channels of the first stage.

    Returns:
        The body and its embedding size.
    """
    layers: list[nn.Module] = []
    into, out = channels, first
    while True:
        strided = not layers and min(height, width) >= _LARGE
        layers += [
            nn.Conv2d(into, out, 3, stride=2 if strided else 1, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
        ]
        if min(height, width) <= _SMALLEST:
            break
        if strided:
            height, width = (height + 1) // 2, (width + 1) // 2
        else:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        into, out = out, min(2 * out, 4 * first)
    return nn.Sequential(*layers, nn.Flatten()), out * height * width
