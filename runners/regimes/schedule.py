"""Order of the labelled images, class weights, learning rates, and optimizers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

import torch
from torch import Tensor, nn

from protocol.spec.recipe import Optimizer

POWER: Final = 0.9
"""Exponent of the schedule `poly`, usual in segmentation (Chen et al. 2017, arXiv 1606.00915, section 4.1)."""


def batches(labelled: int, batch_size: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield positions from 0 to labelled - 1 in `steps` batches of min(labelled, batch_size).

    Shuffled passes follow one another and are cut into equal batches; a batch may span two passes. So all batches have
    the same size, and no image is ever seen two times more than another. A labelled set smaller than the batch size is
    one batch without repetitions.
    """
    size = min(labelled, batch_size)
    rest = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(rest) < size:
            rest = torch.cat([rest, torch.randperm(labelled, generator=generator)])
        yield rest[:size]
        rest = rest[size:]


def balanced_batches(targets: Tensor, batch_size: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield batches in which all classes are equally frequent, up to one image per pass.

    Within a class, shuffled passes follow one another until they are as long as one pass over the largest class.

    Args:
        targets: (labelled,) classes, on the CPU.
    """
    groups = [(targets == k).nonzero()[:, 0] for k in targets.bincount().nonzero()[:, 0]]
    longest, size = max(len(g) for g in groups), min(len(targets), batch_size)
    rest = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        while len(rest) < size:
            passes = [_passes(group, longest, generator) for group in groups]
            # a new order of the classes for each image of a class
            order = torch.rand(longest, len(groups), generator=generator).argsort(1)
            rest = torch.cat([rest, torch.stack(passes, 1).gather(1, order).flatten()])
        yield rest[:size]
        rest = rest[size:]


def _passes(group: Tensor, length: int, generator: torch.Generator) -> Tensor:
    shuffled = [group[torch.randperm(len(group), generator=generator)] for _ in range(math.ceil(length / len(group)))]
    return torch.cat(shuffled)[:length]


def class_weights(targets: Tensor, classes: int) -> Tensor:
    """Compute class weights inversely proportional to the number of labels.

    Args:
        targets: (labelled,) classes.

    Returns:
        (classes,) float32 with mean 1 over the labelled images; 0 for a class without labels.
    """
    counts = torch.bincount(targets, minlength=classes).double()
    return torch.where(counts > 0, len(targets) / ((counts > 0).sum() * counts.clamp(min=1)), 0.0).float()


def learning_rate(spec: Optimizer, step: int, steps: int) -> float:
    """Return the learning rate of one step, from 0 to steps - 1.

    The rate rises linearly from 0 to `lr` over the warm-up. Then it is constant, or falls to 0 at `steps` by half a
    cosine or a power.
    """
    if step < spec.warmup_steps:
        return spec.lr * (step + 1) / (spec.warmup_steps + 1)
    if spec.schedule == "constant":
        return spec.lr
    done = (step - spec.warmup_steps) / max(1, steps - spec.warmup_steps)
    if spec.schedule == "poly":
        return float(spec.lr * (1 - done) ** POWER)
    return spec.lr * 0.5 * (1 + math.cos(math.pi * done))


def optimizer(spec: Optimizer, parameters: Iterable[nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
    """Build an optimizer without state of earlier rounds."""
    fused = device.type in {"cpu", "cuda"}
    if spec.name == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=spec.lr,
            momentum=spec.momentum,
            nesterov=spec.nesterov,
            weight_decay=spec.weight_decay,
            fused=fused,
        )
    if spec.name == "nadam":
        return torch.optim.NAdam(parameters, lr=spec.lr, weight_decay=spec.weight_decay)
    kind = torch.optim.Adam if spec.name == "adam" else torch.optim.AdamW
    return kind(parameters, lr=spec.lr, weight_decay=spec.weight_decay, fused=fused)
