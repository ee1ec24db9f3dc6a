"""Memory and time of segmentation at 512x1024, compared with the same network in a plain torchvision loop.

    uv run python tests/benchmarks/map_memory.py [--threads 2]

Every figure comes from a process of its own: its peak resident memory less what it held before the first step, and
seconds of the work itself. Training: a few steps on a batch of 2 images with their masks, flip and zoom. Query: entropy
of every pixel of 12 images, averaged to one score per image. Images are noise.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812  # its usual name
from torchvision import tv_tensors
from torchvision.transforms import v2

from protocol.spec.protocol import Protocol
from protocol.spec.toml_files import parse
from runners.datasets import Images
from runners.features.segmentation import map_scores
from runners.models.resident import Scaling
from runners.regimes import FitInputs, Resident, fit
from runners.strategies import STRATEGIES
from runners.tasks import TASKS

HEIGHT, WIDTH, IMAGES, CLASSES, STEPS = 512, 1024, 12, 19, 4
NONE = np.empty(0, np.int64)
NETWORKS: dict[str, dict[str, Any]] = {
    "unet-small": {"name": "unet-small", "width": 16},
    "lraspp-mobilenet": {"name": "lraspp-mobilenet"},
}


def material(network: str) -> tuple[Protocol, Images, Any]:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (IMAGES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    labels = rng.integers(0, CLASSES, (IMAGES, HEIGHT, WIDTH)).astype(np.uint8)
    images = Images("noise", pixels, IMAGES, 0, tuple(map(str, range(CLASSES))), "0" * 64)
    regime = {"name": "r", "steps": STEPS, "batch_size": 2, "optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.9}}
    table = {
        "name": "memory",
        "data": {"name": "noise"},
        "budgets": [IMAGES],
        "task": "segmentation",
        "metric": "mean_iou",
    }
    table |= {"model": NETWORKS[network], "regime": regime | {"augmentation": {"flip": True, "zoom": [1.0, 1.5]}}}
    return parse(Protocol, table, "benchmark"), images, labels


def ours(network: str, query: bool) -> Callable[[], object]:
    protocol, images, labels = material(network)
    resident, every = Resident.of(images, torch.device("cpu")), np.arange(IMAGES)
    if not query:
        return lambda: fit(protocol, FitInputs(images, every, labels, NONE, NONE, NONE), 0, 0, resident)
    task = TASKS["segmentation"]
    net = task.build(protocol.model, images, 0).eval()
    scaling = Scaling(torch.full((1, 3, 1, 1), 127.5), torch.full((1, 3, 1, 1), 64.0))
    learner: Any = task.learner(net, resident, scaling, protocol.regime.precision)
    strategy = task.adapt_or_refuse(STRATEGIES["entropy"](), "entropy")
    return lambda: map_scores(strategy, every, [learner])


def plain(network: str, query: bool) -> Callable[[], object]:
    protocol, images, labels = material(network)
    net = TASKS["segmentation"].build(protocol.model, images, 0)
    pixels, masks = torch.from_numpy(images.pixels.copy()).permute(0, 3, 1, 2), torch.from_numpy(labels)
    change = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomResizedCrop((HEIGHT, WIDTH), scale=(1 / 1.5**2, 1.0), ratio=(WIDTH / HEIGHT, WIDTH / HEIGHT)),
            v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
            v2.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )

    def train() -> None:
        net.train()
        made = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
        for step in range(STEPS):
            pairs = [
                change(tv_tensors.Image(pixels[i]), tv_tensors.Mask(masks[i]))
                for i in (2 * step % IMAGES, (2 * step + 1) % IMAGES)
            ]
            x, y = torch.stack([p[0] for p in pairs]), torch.stack([p[1] for p in pairs]).long()
            made.zero_grad(set_to_none=True)
            F.cross_entropy(net(x), y).backward()
            made.step()

    @torch.no_grad()
    def choose() -> None:
        net.eval()
        for image in pixels:
            p = net(((image[None].float() / 255) - 0.5) / 0.25).softmax(1)
            (-(p * p.clamp(min=1e-12).log()).sum(1)).mean((1, 2))

    return choose if query else train


SIDES = {"ours": ours, "plain": plain}


def measured(side: str, network: str, query: bool, threads: int) -> tuple[float, float]:
    """Return the MiB above the level before the call, and the seconds."""
    torch.set_num_threads(threads)
    work = SIDES[side](network, query)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads
    for network in NETWORKS:
        for query in (False, True):
            found = {}
            for side in SIDES:
                with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                    found[side] = alone.submit(measured, side, network, query, threads).result()
            (mib, s), (their_mib, their_s) = found["ours"], found["plain"]
            what = "query" if query else "training"
            said = f"ours {mib:.0f} MiB, {s:.2f} s; plain {their_mib:.0f} MiB, {their_s:.2f} s"
            print(
                f"{network}, {what}: memory {mib / max(their_mib, 1):.2f}x, time {s / their_s:.2f}x ({said})",
                flush=True,
            )


if __name__ == "__main__":
    main()
