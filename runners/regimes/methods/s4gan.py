"""s4GAN: a critic distinguishes masks from predicted maps of pool images.

Mittal et al. 2019, arXiv 1908.05724.
"""

from __future__ import annotations

import itertools
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.draws.seeds import derive
from protocol.metrics import VOID
from protocol.spec.recipe import Discriminator, Semi
from runners.regimes.methods.pool_maps import PoolMapObjective
from runners.regimes.methods.supervised_maps import pixel_cross_entropy
from runners.regimes.training import Round

_BETAS: Final = (0.9, 0.99)
_LEAK: Final = 0.2
_LAYERS: Final = 4
_WATCHED: Final = 10
"""Numbers for the record are means over the last tenth of the steps."""


class Critic(nn.Module):
    """Discriminator of whole maps.

    Four 4×4 convolutions with stride 2, the mean over places, and one linear layer.

    Args:
        channels: channels of maps and images together.
        spec: gives width and dropout.
    """

    def __init__(self, channels: int, spec: Discriminator) -> None:
        super().__init__()
        widths = [channels, *(spec.width * 2**k for k in range(_LAYERS))]
        self.layers = nn.ModuleList(
            nn.Conv2d(into, out, 4, stride=2, padding=1) for into, out in itertools.pairwise(widths)
        )
        self.dropout = nn.Dropout2d(spec.dropout)
        self.last = nn.Linear(widths[-1], 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits and features of maps concatenated with their images.

        Args:
            x: (b, channels, height, width).

        Returns:
            Logits (b,), high for masks, and pooled features (b, 8 width).
        """
        for number, layer in enumerate(self.layers):
            if min(x.shape[2:]) < 2:  # too small to be halved again: pad with zeros
                x = F.pad(x, (0, max(0, 2 - x.shape[3]), 0, max(0, 2 - x.shape[2])))
            x = F.leaky_relu(layer(self.dropout(x) if number else x), _LEAK)
        features = x.mean((2, 3))
        return self.last(features).squeeze(1), features


def one_hot_masks(maps: Tensor, classes: int) -> Tensor:
    """Encode masks (b, height, width) as one-hot maps (b, classes, height, width).

    Zeros where void.
    """
    hot = F.one_hot(torch.where(maps == VOID, classes, maps.long()), classes + 1)
    return hot[..., :classes].permute(0, 3, 1, 2).float()


def feature_matching(masks: Tensor, maps: Tensor) -> Tensor:
    """Compute the mean absolute difference between the mean features of two batches (equation 4).

    Args:
        masks: (b, d) the critic's features of masks.
        maps: (u, d) the critic's features of predicted maps.
    """
    return (masks.mean(0) - maps.mean(0)).abs().mean()


def self_training(logits: Tensor, scores: Tensor, threshold: float, visible: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the cross-entropy with the network's own predictions (equation 5).

    Only maps that the critic takes for masks count.

    Args:
        logits: (u, classes, height, width).
        scores: (u,) scores of the critic, in [0, 1].
        threshold: least score of a map that is learned from.
        visible: (u, height, width) bool, false where the view lies outside the image.

    Returns:
        Mean loss over the pixels of those maps, 0 without any; and (u,) bool, which maps were learned from.
    """
    chosen = scores >= threshold
    labels = torch.where(visible & chosen[:, None, None], logits.detach().argmax(1), VOID)
    return pixel_cross_entropy(logits, labels), chosen


def critic_loss(masks: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the critic's loss on masks and on predicted maps (equation 6).

    Both are binary cross-entropies, from logits (b,) of masks and (u,) of predicted maps.
    """
    real = F.binary_cross_entropy_with_logits(masks, torch.ones_like(masks))
    return real, F.binary_cross_entropy_with_logits(maps, torch.zeros_like(maps))


class S4Gan(PoolMapObjective):
    """Cross-entropy on masks, plus feature matching and self-training on pool images.

    Equation 3 of the paper: cross-entropy + `discriminator.feature_weight` × feature matching + `weight` ×
        self-training.
    After each step of the network, the critic makes one step on the maps of that step. Its input is the maps
    concatenated with images in [0, 1]. It computes in float32 and starts every round from the seed's initial weights.

    As in the authors' code, pixels without a class are zeros in all maps, and the critic's loss is the mean of its
    two halves. Differently from it, labelled and pool images pass the network together, and a padded border is
    neither scored nor learned from.
    """

    def __init__(self, now: Round, semi: Semi) -> None:
        super().__init__(now, semi)
        if semi.discriminator is None:
            raise ValueError("s4gan needs semi.discriminator")
        self._spec, device, images = semi.discriminator, now.resident.device, now.inputs.images
        self._classes = len(images.classes)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive(now.protocol.root_seed, "model", now.seed, "discriminator"))
            self.critic = Critic(self._classes + images.channels, self._spec).to(device)
        self._update = torch.optim.Adam(self.critic.parameters(), lr=self._spec.lr, betas=_BETAS)
        self._shown: tuple[Tensor, Tensor] | None = None
        self._step, self._seen = 0, torch.zeros(5, dtype=torch.float64, device=device)

    def loss(self, step: int, chosen: Tensor) -> Tensor:
        """Compute the loss of the network; it does not train the critic."""
        x, maps = self._labelled_batch(chosen)
        u, visible = self._pool_batch()
        ours, theirs = self._now.net(torch.cat([x, u])).float().split([len(x), len(u)])
        supervised = pixel_cross_entropy(ours, maps, self._now.regime.label_smoothing)
        with torch.autocast(u.device.type, enabled=False):
            masks = self._beside(one_hot_masks(maps, self._classes), x)
            predicted = self._beside(theirs.softmax(1) * visible[:, None], u)
            self._step, self._shown = step, (masks, predicted.detach())
            self.critic.requires_grad_(False).train()
            (_, mask_features), (logits, features) = self.critic(masks), self.critic(predicted)
            matching = feature_matching(mask_features, features)
            taught, learned = self_training(theirs, logits.detach().sigmoid(), self._semi.threshold, visible)
        self._watch(matching.detach(), learned.double().mean())
        return supervised + self._ramp(step) * self._spec.feature_weight * matching + self._weight(step) * taught

    def after_step(self, rate: float) -> None:
        """Make one step of the critic, on the maps of the network's last step."""
        if self._shown is None:
            return
        (masks, predicted), self._shown = self._shown, None
        self.critic.requires_grad_(True)
        for group in self._update.param_groups:
            group["lr"] = rate * self._spec.lr
        real, false = critic_loss(self.critic(masks)[0], self.critic(predicted)[0])
        self._update.zero_grad()
        torch.autograd.backward((real + false) / 2)
        self._update.step()
        if self._late():
            self._seen[3:] += torch.stack([real.detach().double(), false.detach().double()])

    def _beside(self, maps: Tensor, x: Tensor) -> Tensor:
        return torch.cat([maps, self._grey_values(x) / 255], 1)

    def _late(self) -> bool:
        return self._step >= self._now.steps - max(1, self._now.steps // _WATCHED)

    def _watch(self, matching: Tensor, learned: Tensor) -> None:
        if self._late():
            self._seen[:3] += torch.stack([torch.ones_like(learned), learned, matching.double()])

    def extra(self) -> dict[str, float]:
        """Return means over the last tenth of the steps.

        `mask_ratio` is the share of pool images whose map was learned from, `feature_matching` that loss before
        weighting. `discriminator_loss_masks` and `discriminator_loss_maps` are the critic's losses; 0.69 means that
        it guesses.
        """
        steps, learned, matching, real, false = self._seen.tolist()
        steps = max(1.0, steps)
        names = ("mask_ratio", "feature_matching", "discriminator_loss_masks", "discriminator_loss_maps")
        return {name: value / steps for name, value in zip(names, (learned, matching, real, false), strict=True)}
