"""Wide residual networks, the usual networks of semi-supervised learning.

Zagoruyko & Komodakis 2016, arXiv 1605.07146.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class _Block(nn.Module):
    """Twice BatchNorm, ReLU and 3×3 convolution, plus a shortcut (section 2, type B(3, 3))."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(into), nn.BatchNorm2d(out)
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(into, out, 1, stride, bias=False) if into != out or stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        active = torch.relu(self.norm1(x))
        shortcut = x if self.shortcut is None else self.shortcut(active)
        residual: Tensor = self.conv2(torch.relu(self.norm2(self.conv1(active))))
        return shortcut + residual


def body(channels: int, depth: int, factor: int) -> tuple[nn.Module, int]:
    """Build three groups of (depth - 4) / 6 blocks, followed by the mean over pixels.

    The groups have 16, 32 and 64 channels times `factor`.

    Args:
        channels: channels of the images, whose sides are at least 4 pixels.
        depth: number of convolutional layers, 6 n + 4.
        factor: widening factor.

    Returns:
        The body and its embedding size, 64 factor.
    """
    layers: list[nn.Module] = [nn.Conv2d(channels, 16, 3, 1, 1, bias=False)]
    into = 16
    for group in range(3):
        out = 16 * factor * 2**group
        for block in range((depth - 4) // 6):
            layers.append(_Block(into, out, 2 if group and not block else 1))
            into = out
    net = nn.Sequential(*layers, nn.BatchNorm2d(into), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net, into
