"""Augment the batches of several steps together.

Augmentation consists of many small operations. Launching one costs as much as its work on one small batch, and more
on an accelerator, so the batches of the next steps are augmented together. The draws, and so the augmented images, do
not depend on how many batches are taken together.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

import torch
from torch import Tensor

from protocol.spec.recipe import Augmentation
from runners.regimes.augment.images import Draws

PIXELS_AT_ONCE: Final = {"cpu": 2**18, "cuda": 2**20}
"""Pixels augmented together: 3 and 12 MiB of float32 with three channels. More would exceed a CPU's caches."""


def prefetch(
    rows: Iterator[Tensor],
    spec: Augmentation,
    size: tuple[int, int],
    device: torch.device,
    draws: torch.Generator,
    augment: Callable[[Tensor, Draws], Tensor],
) -> Iterator[Tensor]:
    """Yield the augmented images of each batch of rows.

    Args:
        rows: (b,) int64 images of each step's batch, on the CPU.
        size: height and width of the images.
        draws: generator that the draws of each batch are taken from, batch by batch.
        augment: augments the images of (b,) rows with the given draws.
    """
    for first in rows:
        more = max(1, PIXELS_AT_ONCE.get(device.type, 0) // (len(first) * size[0] * size[1])) - 1
        batches = [first, *itertools.islice(rows, more)]
        drawn = [Draws.draw(spec, len(batch), *size, draws) for batch in batches]
        yield from torch.split(augment(torch.cat(batches), Draws.concatenate(drawn)), [len(batch) for batch in batches])
