"""Self-supervised pretraining of a body on the pool's images: SimCLR and SimSiam.

No labels are available here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.draws.seeds import derive
from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from protocol.spec.protocol import Protocol
from protocol.spec.recipe import SelfSupervised
from runners.datasets.images import Images
from runners.machine.device import plain_kernels
from runners.machine.progress_lines import ProgressLines
from runners.models import Net, build
from runners.models.learner import arithmetic, memory_format, to_memory_format
from runners.models.resident import Resident, as_float
from runners.regimes.augment.two_views import random_view
from runners.regimes.base import Diverged
from runners.regimes.schedule import batches, learning_rate, optimizer
from runners.regimes.training import own_randomness


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Compute the normalised temperature-scaled cross-entropy, the mean over all 2 b views.

    Chen et al. 2020, arXiv 2002.05709, equation 1.

    Args:
        first: (b, d) projections of the first views, not yet normalised.
        second: (b, d) projections of the second views of the same images.
        temperature: divides the cosine similarities.
    """
    z = F.normalize(torch.cat([first, second]).float(), dim=1)
    similarity = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    b = len(first)
    partner = torch.arange(2 * b, device=z.device).roll(b)
    return F.cross_entropy(similarity, partner)


def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """Compute SimSiam's D(p, stop-gradient(z)) in [-1, 1], the mean over images.

    Chen & He 2021, arXiv 2011.10566, equations 1 and 3.
    """
    return -F.cosine_similarity(prediction.float(), target.detach().float(), dim=1).mean()


class _SimClr(nn.Module):
    def __init__(self, size: int, spec: SelfSupervised) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Linear(size, spec.hidden), nn.ReLU(inplace=True), nn.Linear(spec.hidden, spec.projection)
        )
        self.temperature = float(spec.temperature or 1.0)

    def forward(self, embedded: Tensor) -> Tensor:
        first, second = self.head(embedded).chunk(2)
        return nt_xent(first, second, self.temperature)


class _SimSiam(nn.Module):
    """Two-layer projection with BatchNorm, as in the paper for CIFAR-10, and a predictor.

    The predictor's bottleneck has one quarter of the projection's width.
    """

    def __init__(self, size: int, spec: SelfSupervised) -> None:
        super().__init__()
        hidden, out, narrow = spec.hidden, spec.projection, max(1, spec.projection // 4)
        self.head = nn.Sequential(
            nn.Linear(size, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, out, bias=False),
            nn.BatchNorm1d(out, affine=False),
        )
        self.predictor = nn.Sequential(
            nn.Linear(out, narrow, bias=False), nn.BatchNorm1d(narrow), nn.ReLU(inplace=True), nn.Linear(narrow, out)
        )

    def forward(self, embedded: Tensor) -> Tensor:
        z1, z2 = self.head(embedded).chunk(2)
        p1, p2 = self.predictor(torch.cat([z1, z2])).chunk(2)
        return (negative_cosine(p1, z2) + negative_cosine(p2, z1)) / 2


_METHODS: Final[dict[str, Callable[[int, SelfSupervised], nn.Module]]] = {"simclr": _SimClr, "simsiam": _SimSiam}


def learn_body(protocol: Protocol, spec: SelfSupervised, images: Images, resident: Resident, pool: Indices) -> Net:
    """Train the body of the protocol's network on the pool; the head keeps its initial weights.

    Initial weights, order and views depend on the root seed only, so that all seeds of a study with the same pool start
    from the same body.

    Args:
        pool: (p,) indices; no other images are used.

    Raises:
        InputError: the network has no body to train, or the images are features.
        Diverged: the weights are not finite.
    """
    root, precision, device = protocol.root_seed, protocol.regime.precision, resident.device
    seeds = {name: derive(root, "model", 0, "pretraining", name) for name in ("weights", "order", "views", "global")}
    net = build(protocol.model, images, seeds["weights"])
    _refuse_unsuitable(net, protocol, images)
    with own_randomness(seeds["global"], torch.device("cpu")):
        loss_of = _METHODS[spec.method](net.embedding_size, spec).to(device)
    net = net.to(device).to(memory_format=memory_format(images.height, images.width, precision))
    rows, scaling = np.sort(pool), resident.scaling(pool)
    update = optimizer(spec.optimizer, [*net.body.parameters(), *loss_of.parameters()], device)
    steps = spec.epochs * max(1, len(rows) // spec.batch_size)
    draws = torch.Generator().manual_seed(seeds["views"])
    order = batches(len(rows), spec.batch_size, steps, torch.Generator().manual_seed(seeds["order"]))
    report = _progress(f"{spec.method} on {len(rows):,} pool images of {images.name}", steps)
    net.train()
    with own_randomness(seeds["global"], device), plain_kernels(device):
        for step, chosen in enumerate(order):
            for group in update.param_groups:
                group["lr"] = learning_rate(spec.optimizer, step, steps)
            x = as_float(resident.images(rows[chosen.numpy()]))
            both = scaling(torch.cat([random_view(x, spec.views, draws) for _ in range(2)]))
            with arithmetic(precision, device):
                loss = loss_of(net.features(to_memory_format(both, precision)))
            update.zero_grad()
            torch.autograd.backward(loss)
            update.step()
            report(step + 1, loss)
    if not all(bool(tensor.isfinite().all()) for tensor in net.state_dict().values()):
        fix = "lower regime.pretraining.self_supervised.optimizer.lr"
        raise Diverged(Fault(f"protocol {protocol.name}: pretraining", "finite weights", "NaN or infinity", fix))
    return net.eval()


def _refuse_unsuitable(net: Net, protocol: Protocol, images: Images) -> None:
    where = f"protocol {protocol.name}: regime.pretraining"
    if images.height == images.width == 1:
        raise InputError(
            Fault(where, "images", f"features ({images.name})", "remove the table: features cannot be trained")
        )
    if not any(True for _ in net.body.parameters()):
        raise InputError(
            Fault(where, "a network with a body to train", protocol.model.name, "use small-cnn or another network")
        )


def _progress(what: str, steps: int) -> Callable[[int, Tensor], None]:
    """Return a callback that prints progress and the time left to standard error, the run's log."""
    lines = ProgressLines()

    def report(done: int, loss: Tensor) -> None:
        if (left := lines.seconds_left(done, steps)) is not None:
            progress = f"step {done:,} of {steps:,}, loss {float(loss.detach()):.3f}, about {left:.0f} s left"
            print(f"pretraining: {what}: {progress}", file=sys.stderr)

    return report
