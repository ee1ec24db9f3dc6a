"""Learning loss: predict where the network errs (Yoo & Kweon 2019, arXiv 1905.03677).

The paper trains the loss module together with the classifier. Here the evaluated classifier must be the same for every
strategy. A second network of the same architecture is therefore trained from scratch with the loss module, on the
labelled images. Its training time counts as query time.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from runners.guard.errors import StrategyError
from runners.strategies.base import Context, Strategy, top
from runners.strategies.view import Need, View

CHUNK = 512
STOPPED = 0.6
"""Share of the steps after which the loss no longer reaches the network (in the paper: epoch 120 of 200)."""


class LearningLoss(Strategy):
    """Select the images with the highest predicted loss.

    Args:
        steps: optimisation steps of network and loss module, >= 1.
        batch: labelled images per step, >= 2.
        rate: learning rate of Adam, > 0.
        width: width of the loss module's layers, >= 1.
    """

    needs: ClassVar[tuple[Need, ...]] = ("images", "labelled_images")
    tasks = ("classification",)
    paper = "Yoo & Kweon 2019, arXiv 1905.03677"
    cost = "O(u) and one more training"

    def __init__(self, steps: int = 500, batch: int = 64, rate: float = 1e-3, width: int = 128) -> None:
        checks = {
            "steps": (steps, steps >= 1),
            "batch": (batch, batch >= 2),
            "rate": (rate, rate > 0),
            "width": (width, width >= 1),
        }
        if faults := [
            Fault(f"learning-loss: {name}", "a larger number", str(value))
            for name, (value, fine) in checks.items()
            if not fine
        ]:
            raise InputError(faults)
        self.steps, self.batch, self.rate, self.width = steps, batch, rate, width
        self._predicted = torch.empty(0)

    def prepare(self, context: Context, generator: torch.Generator) -> None:
        """Train the second network and its loss module, then predict the losses of the pool."""
        if len(context.view.labelled) < 2:
            where = f"strategy learning-loss, round {context.view.round}"
            raise StrategyError(
                Fault(
                    where, "2 labelled images, to compare losses", str(len(context.view.labelled)), "raise budgets[0]"
                )
            )
        twin = fresh(context.network())
        levels = Levels(twin, context.scaled(context.view.labelled_images[:2]))
        module = LossModule(levels.channels, self.width).to(context.device)
        self._train(context, generator, twin, levels, module)
        twin.eval()
        module.eval()
        with torch.no_grad():
            parts = [module(levels(context.scaled(part))[1]) for part in torch.split(context.view.images, CHUNK)]
        self._predicted = torch.cat(parts)

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the images with the n highest predicted losses; break ties at random."""
        return top(view, self._predicted, n, rng)

    def _train(
        self, context: Context, generator: torch.Generator, twin: nn.Module, levels: Levels, module: LossModule
    ) -> None:
        images, labels = context.view.labelled_images, torch.from_numpy(context.view.labels.copy()).to(context.device)
        size = min(self.batch, len(labels)) // 2 * 2
        update = torch.optim.Adam([*twin.parameters(), *module.parameters()], lr=self.rate)
        twin.train()
        for step in range(self.steps):
            chosen = torch.randperm(len(labels), generator=generator)[:size].to(context.device)
            logits, maps = levels(context.scaled(images[chosen]))
            losses = F.cross_entropy(logits, labels[chosen], reduction="none")
            if step >= STOPPED * self.steps:
                maps = [level.detach() for level in maps]
            update.zero_grad()
            torch.autograd.backward(losses.mean() + ranking_loss(module(maps), losses.detach()))
            update.step()


def ranking_loss(predicted: Tensor, losses: Tensor, margin: float = 1.0) -> Tensor:
    """Compute the ranking loss of equation 2.

    It is the mean over pairs (i, b-1-i) of max(0, margin - sign * (predicted_i - predicted_j)), with sign = 1 if
    loss_i > loss_j, else -1. Only the order of the losses counts, since their scale shrinks during training.

    Args:
        predicted, losses: predicted and true losses, shape (b,), b even.
        margin: difference that predictions must reach.
    """
    half = len(losses) // 2
    sign = torch.where(losses > losses.flip(0), 1.0, -1.0)[:half]
    difference = (predicted - predicted.flip(0))[:half]
    return (margin - sign * difference).clamp(min=0).mean()


def fresh(network: nn.Module) -> nn.Module:
    """Reset all weights and statistics of the network and return it.

    Weights are drawn from torch's global generator, which the runner seeds.
    """
    for part in network.modules():
        if callable(reset := getattr(part, "reset_parameters", None)):
            reset()
    return network


class Levels:
    """Logits of a network with its feature maps: the last one of each resolution."""

    def __init__(self, network: nn.Module, example: Tensor) -> None:
        self._network = network
        self._seen: list[tuple[int, Tensor]] = []
        last: dict[tuple[int, ...], int] = {}
        handles = [part.register_forward_hook(self._recorder(number)) for number, part in enumerate(network.modules())]
        network.eval()
        with torch.no_grad():
            network(example)
        for number, output in self._seen:
            last[tuple(output.shape[2:])] = number
        for handle in handles:
            handle.remove()
        if not last:
            raise StrategyError(
                Fault(
                    "strategy learning-loss",
                    "a convolutional network",
                    "no layer with feature maps",
                    "use a convolutional model",
                )
            )
        parts = list(network.modules())
        self._tapped = sorted(last.values())
        for number in self._tapped:
            parts[number].register_forward_hook(self._recorder(number))
        shapes = {number: output.shape[1] for number, output in self._seen}
        self.channels = [shapes[number] for number in self._tapped]

    def __call__(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return logits, (b, k), and the maps, (b, channels, height, width), one per level."""
        self._seen.clear()
        logits: Tensor = self._network(x)
        latest = dict(self._seen)
        return logits, [latest[number] for number in self._tapped]

    def _recorder(self, number: int) -> Any:
        def record(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4:
                self._seen.append((number, output))

        return record


class LossModule(nn.Module):
    """Module that predicts losses.

    Each level is averaged over pixels and has its own layer; one layer joins them.
    """

    def __init__(self, channels: list[int], width: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Linear(size, width) for size in channels)
        self.join = nn.Linear(width * len(channels), 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return predicted losses, shape (b,), of maps of shape (b, channels, height, width)."""
        parts = [layer(level.mean((2, 3))).relu() for layer, level in zip(self.levels, maps, strict=True)]
        predicted: Tensor = self.join(torch.cat(parts, 1))
        return predicted[:, 0]
