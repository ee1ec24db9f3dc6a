"""Operations launched, tensors sent and waits per training step, counted on a simulated accelerator.

    uv run python -m tests.benchmarks.device_operations

Small networks on a fast device are bound by the launches, not by their arithmetic: a step's share outside the network
is about the share of its launches. Each case is a round of 4 and of 36 steps of 64 images of 32x32; the difference,
divided by 32, is that of one step. `Network alone`: forward, loss, backward and update of one batch that is there
already. How long anything takes is not counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protocol.spec.protocol import Model, Protocol
from protocol.spec.recipe import Optimizer
from protocol.spec.toml_files import parse
from runners.datasets import Images
from runners.models import build
from runners.regimes import FitInputs, Resident, fit
from runners.regimes.schedule import optimizer
from tests.support.accelerator import CUDA, Machine, accelerator, launched_by_a_step

FEW, MANY, LABELS, BATCH, SIDE = 4, 36, 64, 64, 32
RICH = {"flip": True, "shift": 4, "rand_augment": {"ops": 2, "magnitude": 10}, "cutout": 16}
POOL = {"unlabelled_batch": 64, "threshold": 0.95, "strong": RICH}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "flip and crop": {"augmentation": {"flip": True, "shift": 4}},
    "RandAugment and Cutout": {"augmentation": RICH},
    "RandAugment and Cutout, moving average": {"augmentation": RICH, "ema_decay": 0.999},
    "FixMatch, 64 pool images": {
        "method": "fixmatch",
        "augmentation": {"flip": True, "shift": 4},
        "ema_decay": 0.999,
        "semi": POOL,
    },
}
SGD = {"name": "sgd", "lr": 0.01, "momentum": 0.9}
MODEL = {"name": "small-cnn", "width": 4}
NETWORKS: dict[str, dict[str, Any]] = {
    "small CNN": MODEL,
    "ResNet-18": {"name": "resnet18"},
    "WRN-28-2": {"name": "wrn-28-2"},
}


def round_of(machine: Machine, regime: dict[str, Any], steps: int, images: Images) -> tuple[int, int, int]:
    """Return the numbers of launched operations, sent tensors and waits."""
    full = {"name": "r", "steps": steps, "batch_size": BATCH, "optimizer": SGD} | regime
    protocol = parse(
        Protocol,
        {"name": "p", "data": {"name": "noise"}, "budgets": [LABELS], "model": MODEL, "regime": full},
        "benchmark",
    )
    none, owned = np.empty(0, np.int64), np.arange(LABELS)
    inputs = FitInputs(images, owned, owned % 10, none, none, np.arange(LABELS, images.n))
    machine.forget()
    fit(protocol, inputs, 0, 0, Resident.of(images, CUDA))
    return machine.launched.total(), machine.sent, machine.waits.total()


def network_alone(machine: Machine, model: dict[str, Any], images: Images) -> int:
    net = build(parse(Model, model, "benchmark"), images, 0).to(CUDA)
    return launched_by_a_step(
        machine, net, optimizer(parse(Optimizer, SGD, "benchmark"), net.parameters(), CUDA), (3, SIDE, SIDE)
    )


def main() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (256, SIDE, SIDE, 3), dtype=np.uint8)
    images = Images("noise", pixels, 256, 0, tuple(map(str, range(10))), "0" * 64)
    with accelerator() as machine:
        alone = {name: network_alone(machine, model, images) for name, model in NETWORKS.items()}
        print("network alone, launches a step: " + ", ".join(f"{name} {n}" for name, n in alone.items()))
        for name, regime in CASES.items():
            few, many = (round_of(machine, regime, steps, images) for steps in (FEW, MANY))
            launched, sent, waits = ((b - a) / (MANY - FEW) for a, b in zip(few, many, strict=True))
            outside = launched - alone["small CNN"]
            shares = ", ".join(f"{outside / (outside + n):.0%} with {network}" for network, n in alone.items())
            print(
                f"{name}: {launched:.1f} launches, {sent:.1f} sent, {waits:.1f} waits; "
                f"outside the network {outside:.1f}, {shares}"
            )


if __name__ == "__main__":
    main()
