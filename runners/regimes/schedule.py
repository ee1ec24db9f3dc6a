"""In what order labelled images are seen, and how fast the weights move."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from protocol.spec import Optimizer, Regime


def steps_of(regime: Regime, labelled: int) -> int:
    """Optimisation steps of a round with `labelled` images; an epoch is as many batches as cover them once."""
    if regime.steps is not None:
        return regime.steps
    return (regime.epochs or 0) * math.ceil(labelled / regime.batch_size)


def batches(labelled: int, batch_size: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Positions 0 … labelled-1 in `steps` batches of min(labelled, batch_size).

    One shuffled pass after another, cut into equal batches; a batch may span two passes. So all batches
    have one size, and no image is ever seen twice more often than another. A labelled set smaller than
    the batch is one batch, not a batch with repetitions.
    """
    size = min(labelled, batch_size)
    rest = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(rest) < size:
            rest = torch.cat([rest, torch.randperm(labelled, generator=generator)])
        yield rest[:size]
        rest = rest[size:]


def learning_rate(spec: Optimizer, step: int, steps: int) -> float:
    """Rate of step 0 … steps-1: linear from 0 to lr over the warm-up, then constant or half a cosine that would reach 0 at `steps`."""
    if step < spec.warmup_steps:
        return spec.lr * (step + 1) / (spec.warmup_steps + 1)
    if spec.schedule == "constant":
        return spec.lr
    done = (step - spec.warmup_steps) / max(1, steps - spec.warmup_steps)
    return spec.lr * 0.5 * (1 + math.cos(math.pi * done))


def optimizer(spec: Optimizer, parameters: Iterable[nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
    """A fresh optimizer; nothing of an earlier round survives."""
    fused = device.type in {"cpu", "cuda"}
    if spec.name == "sgd":
        return torch.optim.SGD(
            parameters, lr=spec.lr, momentum=spec.momentum, nesterov=spec.nesterov, weight_decay=spec.weight_decay, fused=fused
        )
    kind = torch.optim.Adam if spec.name == "adam" else torch.optim.AdamW
    return kind(parameters, lr=spec.lr, weight_decay=spec.weight_decay, fused=fused)
