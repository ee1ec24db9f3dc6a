"""Training step compared with the usual pipeline: a DataLoader over PIL images and torchvision transforms.

    uv run python tests/benchmarks/train_speed.py [--steps 150] [--threads 2] [--device cuda]

Images, network, initial weights,
optimizer, batch size and number of steps are the same, one after the other in one process, in turns. Prints
milliseconds per step, the ratio to the peer's best number of workers, and the share of our step that is not the
network's own forward, backward and update (a loop over one ready batch). Images are noise: what is learned is not what
is measured.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its usual name
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision import transforms, tv_tensors
from torchvision.transforms import v2

from protocol.spec.protocol import Protocol
from protocol.spec.toml_files import parse
from runners.datasets import Images
from runners.models.learner import memory_format
from runners.regimes import FitInputs, Resident, fit
from runners.tasks import TASKS

IMAGES, BATCH = 512, 64
NONE = np.empty(0, np.int64)
PLAIN: dict[str, Any] = {}
RICH: dict[str, Any] = {"flip": True, "shift": 4, "rand_augment": {"ops": 2, "magnitude": 10}, "cutout": 8}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], int, int]] = {
    "32x32, plain": ({"name": "small-cnn", "width": 16}, PLAIN, 32, BATCH),
    "32x32, flip and crop": ({"name": "small-cnn", "width": 16}, {"flip": True, "shift": 4}, 32, BATCH),
    "32x32, RandAugment and Cutout": ({"name": "small-cnn", "width": 16}, RICH, 32, BATCH),
    "32x32, RandAugment and Cutout, WRN-28-2": ({"name": "wrn-28-2"}, RICH, 32, BATCH),
    "32x32, RandAugment and Cutout, ResNet-18": ({"name": "resnet18"}, RICH, 32, BATCH),
    "masks 64x64, flip, zoom, colour": (
        {"name": "unet-small", "width": 8},
        {"flip": True, "zoom": [1.0, 1.5], "colour": 0.2},
        64,
        8,
    ),
}
"""Name -> network, augmentation, side, batch size; masks are segmentation."""
LARGE = {"wrn-28-2", "resnet18"}
"""Networks whose steps take so long that a tenth of them will do."""


class Pictures(Dataset[tuple[Any, Any]]):
    """Images as read by PIL, or as tensors with their masks."""

    def __init__(self, pixels: Any, labels: Any, change: Callable[..., Any]) -> None:
        to_pil = transforms.ToPILImage()
        self.masks = labels.ndim == 3
        self.items = [torch.from_numpy(p).permute(2, 0, 1) if self.masks else to_pil(p) for p in pixels]
        self.labels, self.change = torch.from_numpy(labels.astype(np.int64)), change

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        if self.masks:
            image, mask = self.change(tv_tensors.Image(self.items[i]), tv_tensors.Mask(self.labels[i]))
            return image.as_subclass(Tensor), mask.as_subclass(Tensor)
        return self.change(self.items[i]), self.labels[i]


def peer_transforms(spec: dict[str, Any], side: int, masks: bool) -> Callable[..., Any]:
    """Return the torchvision equivalents of our augmentations."""
    if masks:
        change: Callable[..., Any] = v2.Compose(
            [
                v2.RandomHorizontalFlip(),
                v2.RandomResizedCrop(side, scale=(1 / 1.5**2, 1.0), ratio=(1.0, 1.0)),
                v2.ColorJitter(spec["colour"], spec["colour"], spec["colour"]),
                v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
                v2.Normalize([0.5] * 3, [0.25] * 3),
            ]
        )
        return change
    parts: list[Any] = []
    if spec:
        parts += [transforms.RandomCrop(side, spec["shift"], padding_mode="reflect"), transforms.RandomHorizontalFlip()]
    if "rand_augment" in spec:
        parts.append(transforms.RandAugment(2, 9))
    parts += [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)]
    if "cutout" in spec:
        area = (spec["cutout"] / side) ** 2
        parts.append(transforms.RandomErasing(1.0, (area, area), (1.0, 1.0)))
    composed: Callable[..., Any] = transforms.Compose(parts)
    return composed


def batches(
    data: Pictures, steps: int, batch: int, workers: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    fast = device.type == "cuda"
    for x, y in DataLoader(
        data, batch, sampler=RandomSampler(data, True, steps * batch), num_workers=workers, pin_memory=fast
    ):
        yield x.to(device, non_blocking=fast), y.to(device, non_blocking=fast)


def loop(net: nn.Module, given: Iterator[tuple[Tensor, Tensor]]) -> None:
    """Run forward, backward and update."""
    net.train()
    made = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    for x, y in given:
        made.zero_grad(set_to_none=True)
        out = net(x)
        F.cross_entropy(out[0] if isinstance(out, tuple) else out, y).backward()
        made.step()


def timed(what: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    what()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def measure(name: str, steps: int, device: torch.device) -> None:
    """Measure one case three times, alternating, and return the minimum of each."""
    model, spec, side, batch = CASES[name]
    steps = max(1, steps // 10) if model["name"] in LARGE and device.type == "cpu" else steps
    masks, rng = name.startswith("masks"), np.random.default_rng(0)
    pixels = rng.integers(0, 256, (IMAGES, side, side, 3), dtype=np.uint8)
    labels: NDArray[np.integer] = rng.integers(0, 10, (IMAGES, side, side) if masks else IMAGES)
    labels = labels.astype(np.uint8 if masks else np.int64)
    images = Images("noise", pixels, IMAGES, 0, tuple(map(str, range(10))), "0" * 64)
    regime = {
        "name": "r",
        "steps": steps,
        "batch_size": batch,
        "optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.9},
    }
    table = {
        "name": "speed",
        "data": {"name": "noise"},
        "budgets": [IMAGES],
        "model": model,
        "regime": regime | {"augmentation": spec},
    }
    protocol = parse(Protocol, table | ({"task": "segmentation", "metric": "mean_iou"} if masks else {}), "benchmark")
    inputs = FitInputs(images, np.arange(IMAGES), labels, NONE, NONE, NONE)
    resident, data = Resident.of(images, device), Pictures(pixels, labels, peer_transforms(spec, side, masks))
    ready, layout = next(batches(data, 1, batch, 0, device)), memory_format(side, side, protocol.regime.precision)
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: fit(protocol, inputs, 0, 0, resident),
        "network": lambda: loop(
            TASKS[protocol.task].build(protocol.model, images, 0).to(device).to(memory_format=layout),
            ((ready[0].contiguous(memory_format=layout), ready[1]) for _ in range(steps)),
        ),
    }
    for workers in (0, 1, 2) if device.type == "cpu" else (0, 4, os.cpu_count() or 8):
        runs[f"peer, {workers} workers"] = lambda w=workers: loop(
            TASKS[protocol.task].build(protocol.model, images, 0).to(device), batches(data, steps, batch, w, device)
        )  # type: ignore[misc]
    took: dict[str, list[float]] = {key: [] for key in runs}
    for _ in range(3):
        for key, run in runs.items():
            took[key].append(timed(run, device))
    least = {key: 1000 * min(values) / steps for key, values in took.items()}
    peer = min(value for key, value in least.items() if key.startswith("peer"))
    said = ", ".join(f"{key} {value:.2f}" for key, value in least.items())
    print(
        f"{name}: {peer / least['ours']:.1f}x; "
        f"outside the network {max(0.0, 1 - least['network'] / least['ours']):.0%}; ms a step: {said}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for name in CASES:
        measure(name, given.steps, given.device)


if __name__ == "__main__":
    main()
