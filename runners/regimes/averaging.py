"""Averages of weights during training, which generalise better than the last weights."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn


class Ema:
    """Exponential moving average of all weights and BatchNorm statistics, as in mean teacher.

    ArXiv 1703.01780.

    After step t = 1, 2, … the old average keeps the share min(decay, 1 - 1/(t + 1)), so that the first steps do not
    dominate the average of a short round.

    Attributes:
        net: a network with the averaged weights.

    Args:
        net: the network that is trained, already on its device; its tensors must be changed in place from now on.
        decay: largest share of the old average that is kept, in [0, 1).
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).requires_grad_(False)
        self._decay = decay
        self._step = 0
        pairs = list(zip(self.net.state_dict().values(), net.state_dict().values(), strict=True))
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Update the average with the network's weights after one more step."""
        self._step += 1
        keep = min(self._decay, 1 - 1 / (self._step + 1))
        torch._foreach_lerp_([a for a, _ in self._floats], [b for _, b in self._floats], 1 - keep)
        if self._counts:
            torch._foreach_copy_([a for a, _ in self._counts], [b for _, b in self._counts])


class LateMean:
    """Unweighted mean of weights.

    Stochastic weight averaging, Izmailov et al. 2018, arXiv 1803.05407, algorithm 1.
    """

    def __init__(self, net: nn.Module) -> None:
        self._mean = AveragedModel(net)

    def update(self, net: nn.Module) -> None:
        """Add one more set of weights to the mean."""
        self._mean.update_parameters(net)

    def load_into(self, net: nn.Module, images: Iterable[Tensor]) -> None:
        """Load the mean into `net`, and recompute its BatchNorm statistics from training images."""
        with torch.no_grad():
            for ours, mean in zip(net.parameters(), self._mean.module.parameters(), strict=True):
                ours.copy_(mean)
        update_bn(images, net)
