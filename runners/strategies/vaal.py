"""VAAL (Sinha, Ebrahimi & Darrell 2019, arXiv 1904.00370).

It trains an autoencoder with a discriminator of labelled and unlabelled images. Both see only images and whether they
are labelled. The evaluated classifier stays unchanged.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from runners.strategies.base import Context, Strategy, top
from runners.strategies.view import Need, View

CHUNK = 512
RATE = 5e-4
"""Learning rate of Adam for both networks; the authors' value."""
REPEATS = 2
"""Steps of the autoencoder per step of the discriminator; the authors' value."""


class VAAL(Strategy):
    """Select the images that the discriminator most confidently takes for unlabelled.

    Args:
        steps: number of steps of the discriminator, >= 1.
        batch: number of labelled images per step, and of unlabelled ones, >= 1.
        latent: size of the code, >= 1.
        width: channels of the autoencoder's first stage, >= 1; the authors use 128.
        beta: weight of the code's divergence from the normal distribution, >= 0.
        adversary: weight of fooling the discriminator, >= 0.
    """

    needs: ClassVar[tuple[Need, ...]] = ("images", "labelled_images")
    paper = "Sinha, Ebrahimi & Darrell 2019, arXiv 1904.00370"
    cost = "O(u) and training an autoencoder"

    def __init__(
        self,
        steps: int = 500,
        batch: int = 64,
        latent: int = 32,
        width: int = 16,
        beta: float = 1.0,
        adversary: float = 1.0,
    ) -> None:
        sizes = {"steps": steps, "batch": batch, "latent": latent, "width": width}
        faults = [Fault(f"vaal: {name}", "an integer >= 1", str(value)) for name, value in sizes.items() if value < 1]
        weights = {"beta": beta, "adversary": adversary}
        faults += [
            Fault(f"vaal: {name}", "a number >= 0", str(value)) for name, value in weights.items() if not value >= 0
        ]
        if faults:
            raise InputError(faults)
        self.steps, self.batch, self.latent, self.width, self.beta, self.adversary = (
            steps,
            batch,
            latent,
            width,
            beta,
            adversary,
        )
        self._labelled = torch.empty(0)

    def prepare(self, context: Context, generator: torch.Generator) -> None:
        """Train the autoencoder and the discriminator, then score the pool."""
        view = context.view
        _, height, width, channels = view.images.shape
        coder = Autoencoder((height, width, channels), self.latent, self.width).to(context.device)
        judge = discriminator(self.latent).to(context.device)
        self._train(view, coder, judge, generator)
        coder.eval()
        with torch.no_grad():
            parts = [judge(coder.encode(as_input(part))[0])[:, 0] for part in torch.split(view.images, CHUNK)]
        self._labelled = torch.cat(parts)

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the images with the n lowest logits of being labelled; break ties at random."""
        return top(view, -self._labelled, n, rng)

    def _train(self, view: View, coder: Autoencoder, judge: nn.Module, generator: torch.Generator) -> None:
        of_coder, of_judge = (
            torch.optim.Adam(coder.parameters(), lr=RATE),
            torch.optim.Adam(judge.parameters(), lr=RATE),
        )
        coder.train()
        for _ in range(self.steps):
            for _ in range(REPEATS):
                x, labelled = self._batch(view, generator)
                mean, spread = coder.encode(x)
                noise = torch.randn(mean.shape, generator=generator).to(mean.device)
                rebuilt = coder.decode(mean + noise * (spread / 2).exp())
                scores = judge(mean)[:, 0]
                loss = sum(
                    reconstruction_loss(rebuilt[part], x[part], mean[part], spread[part], self.beta)
                    for part in (slice(labelled), slice(labelled, None))
                ) + self.adversary * fooling_loss(scores[:labelled], scores[labelled:])
                of_coder.zero_grad()
                torch.autograd.backward(loss)
                of_coder.step()
            with torch.no_grad():
                mean = coder.encode(x)[0]
            scores = judge(mean)[:, 0]
            of_judge.zero_grad()
            torch.autograd.backward(discriminator_loss(scores[:labelled], scores[labelled:]))
            of_judge.step()

    def _batch(self, view: View, generator: torch.Generator) -> tuple[Tensor, int]:
        """Return labelled images, then unlabelled ones, and the number of labelled ones.

        They are one batch, since both must share the statistics of batch normalisation.
        """
        parts = [_draw(images, self.batch, generator) for images in (view.labelled_images, view.images)]
        return torch.cat(parts), len(parts[0])


def reconstruction_loss(rebuilt: Tensor, x: Tensor, mean: Tensor, spread: Tensor, beta: float) -> Tensor:
    """Compute the autoencoder's loss, the mean over images (equation 1).

    It is 1/2 ‖x - rebuilt‖² + beta * KL(N(mean, exp(spread)) || N(0, 1)).

    Args:
        rebuilt, x: reconstructed and original images, shape (b, channels, height, width).
        mean, spread: means and logarithms of the variances of the codes, shape (b, z).
        beta: weight of the divergence.
    """
    error = (rebuilt - x).square().flatten(1).sum(1) / 2
    divergence = (mean.square() + spread.exp() - 1 - spread).sum(1) / 2
    return (error + beta * divergence).mean()


def fooling_loss(labelled: Tensor, unlabelled: Tensor) -> Tensor:
    """Compute the autoencoder's adversarial loss (equation 3).

    It is the cross-entropy of all logits against "labelled".
    """
    return -F.logsigmoid(labelled).mean() - F.logsigmoid(unlabelled).mean()


def discriminator_loss(labelled: Tensor, unlabelled: Tensor) -> Tensor:
    """Compute the cross-entropy of all logits against the truth, the discriminator's loss (equation 4)."""
    return -F.logsigmoid(labelled).mean() - F.logsigmoid(-unlabelled).mean()


def as_input(images: Tensor) -> Tensor:
    """Convert uint8 images (b, height, width, channels) to (b, channels, height, width) in [-1, 1]."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def discriminator(latent: int) -> nn.Module:
    """Build a network from codes (b, z) to logits (b, 1) of being labelled."""
    return nn.Sequential(nn.Linear(latent, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 1))


class Autoencoder(nn.Module):
    """Convolutional variational autoencoder for images of any size.

    Each stage halves the map until a side is 4 or less.
    """

    def __init__(self, shape: tuple[int, int, int], latent: int, first: int) -> None:
        super().__init__()
        height, width, channels = shape
        sizes, planes = [(height, width)], [channels]
        down: list[nn.Module] = []
        while min(sizes[-1]) > 4:
            planes.append(first * 2 ** min(len(planes) - 1, 3))
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
            down += [
                nn.Conv2d(planes[-2], planes[-1], 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(planes[-1]),
                nn.ReLU(),
            ]
        self.bottom = (planes[-1], *sizes[-1])
        flat = planes[-1] * sizes[-1][0] * sizes[-1][1]
        self.down = nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, 2 * latent))
        up: list[nn.Module] = [nn.Linear(latent, flat), nn.Unflatten(1, self.bottom)]
        for stage in range(len(sizes) - 1, 0, -1):
            up += [
                nn.ReLU(),
                nn.Upsample(size=sizes[stage - 1]),
                nn.Conv2d(planes[stage], planes[stage - 1], 3, padding=1),
            ]
        self.up = nn.Sequential(*up, nn.Tanh())

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and logarithms of variances of the codes, each (b, z)."""
        mean, spread = self.down(x).chunk(2, 1)
        return mean, spread.clamp(-20, 20)

    def decode(self, code: Tensor) -> Tensor:
        """Return images (b, channels, height, width) in [-1, 1]."""
        rebuilt: Tensor = self.up(code)
        return rebuilt


def _draw(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    chosen = torch.randperm(len(images), generator=generator)[:size]
    return as_input(images[chosen.to(images.device)])
