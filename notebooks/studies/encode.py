"""Frozen features for pretrained.toml: train SimCLR at CPU size, then embed other images.

    python notebooks/studies/encode.py --data-root DATA --out features

SimCLR is that of Chen et al. (2020, arXiv 2002.05709). The encoder sees 20,000 official training images without
labels. Embedded are 12,000 others, from which the protocols draw pool and test set. The encoder never sees a test set
or a label. Equal bytes need one thread and equal versions of torch: the records name the digest.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.record.layout import write_arrays
from protocol.spec.data import Data
from protocol.spec.protocol import Model
from runners.data import load
from runners.models import build

SIDES = {"fashion-mnist": 14, "cifar10-jpeg": 16}
PRETRAINED_ON, EMBEDDED = 20_000, 12_000
STEPS, BATCH, TEMPERATURE, RATE, WIDTH = 1200, 256, 0.2, 2e-3, 24


def views(x: Tensor, draws: torch.Generator) -> Tensor:
    """Return a random view of each image, shape (b, channels, height, width), in [0, 1].

    A view is a crop to 30 to 100 % of the area, mirrored, with changed colours.
    """
    n, channels = x.shape[:2]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=draws)

    scale = uniform(0.3, 1.0).sqrt()
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = scale * (torch.rand(n, generator=draws) < 0.5).float().mul(2).sub(1)
    theta[:, 1, 1] = scale
    theta[:, :, 2] = (1 - scale)[:, None] * uniform(-1, 1, 2)
    out = F.grid_sample(
        x, F.affine_grid(theta, list(x.shape), align_corners=False), padding_mode="reflection", align_corners=False
    )
    out = (out - 0.5) * uniform(0.6, 1.4, channels, 1, 1) + 0.5 + uniform(-0.2, 0.2, channels, 1, 1)
    grey = (torch.rand(n, 1, 1, 1, generator=draws) < 0.2).float()
    return grey * out.mean(1, keepdim=True) + (1 - grey) * out


def contrast(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Return the NT-Xent loss (equation 1): each view's partner among all other views of the batch.

    Row i of a and row i of b, both (n, d), are views of the same image.
    """
    z = F.normalize(torch.cat([a, b]), dim=1)
    likeness = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    n = len(a)
    return F.cross_entropy(likeness, torch.arange(2 * n).roll(n))


def encode(name: str, root: Path | None, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays `features` (n, d) float32, `labels` (n,) and `classes` for the data set `features`."""
    images, hidden = load(Data(name=name, resolution=SIDES[name]), root)
    order = np.random.default_rng(seed).permutation(images.train_size)
    seen, embedded = np.split(order[: PRETRAINED_ON + EMBEDDED], [PRETRAINED_ON])
    net = build(Model(name="small-cnn", width=WIDTH), images, seed)
    pixels = torch.from_numpy(np.array(images.pixels)).permute(0, 3, 1, 2).float() / 255
    head = nn.Sequential(nn.Linear(net.embedding_size, 128), nn.ReLU(), nn.Linear(128, 64))
    update = torch.optim.Adam([*net.body.parameters(), *head.parameters()], lr=RATE, weight_decay=1e-5)
    draws = torch.Generator().manual_seed(seed)
    for step in range(STEPS):
        rows = torch.from_numpy(seen)[torch.randperm(len(seen), generator=draws)[:BATCH]]
        x = pixels[rows]
        update.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * step / STEPS)) / 2
        a, b = head(net.features(torch.cat([views(x, draws), views(x, draws)]))).chunk(2)
        loss = contrast(a, b, TEMPERATURE)
        update.zero_grad()
        loss.backward()
        update.step()
        if step % 200 == 0 or step + 1 == STEPS:
            print(f"{name}: step {step + 1} of {STEPS}, loss {loss.item():.3f}", flush=True)
    net.eval()
    with torch.no_grad():
        features = torch.cat([net.features(pixels[part]) for part in torch.from_numpy(np.sort(embedded)).split(1000)])
    labels = hidden.for_oracle()[np.sort(embedded)]
    return {"features": features.numpy(), "labels": labels, "classes": np.asarray(images.classes)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for data_set in SIDES:
        write_arrays(asked.out / f"{data_set}.npz", encode(data_set, asked.data_root))
