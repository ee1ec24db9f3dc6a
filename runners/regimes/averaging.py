"""Averages of weights along the way, which generalise better than the last weights."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn


class Ema:
    """Exponential moving average of all weights and BatchNorm statistics; the mean teacher's way (arXiv 1703.01780).

    After step t = 1, 2, … the share min(decay, 1 - 1/(t + 1)) of the old average is kept, so that a short round's
    average is not made of its first steps.

    Attributes:
        net: a network with the averaged weights.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).requires_grad_(False)
        self._decay = decay
        self._step = 0
        self._ours = list(self.net.state_dict().values())

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Take in the weights after one more step."""
        self._step += 1
        keep = min(self._decay, 1 - 1 / (self._step + 1))
        pairs = list(zip(self._ours, net.state_dict().values(), strict=True))
        floats = [(a, b) for a, b in pairs if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - keep)
        for a, b in pairs:
            if not a.is_floating_point():
                a.copy_(b)


class LateMean:
    """Equal mean of weights (stochastic weight averaging, Izmailov 2018, arXiv 1803.05407, algorithm 1)."""

    def __init__(self, net: nn.Module) -> None:
        self._mean = AveragedModel(net)

    def update(self, net: nn.Module) -> None:
        """Take in one more set of weights."""
        self._mean.update_parameters(net)

    def take_over(self, net: nn.Module, images: Iterable[Tensor]) -> None:
        """Put the mean into `net`, and BatchNorm statistics that fit it, from training images."""
        with torch.no_grad():
            for ours, mean in zip(net.parameters(), self._mean.module.parameters(), strict=True):
                ours.copy_(mean)
        update_bn(images, net)
