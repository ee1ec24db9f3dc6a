"""Augmented batches, a few steps' at a time.

Augmenting a batch is many small operations, and to start one costs as much as its work on one small batch, on an accelerator more:
the batches of the next steps are made together. What is drawn, and so what every image becomes, does not depend on how many.
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
"""Of the images augmented together: 3 and 12 MiB of float32 with three channels. A CPU likes its caches."""


def prefetch(
    rows: Iterator[Tensor],
    spec: Augmentation,
    size: tuple[int, int],
    device: torch.device,
    draws: torch.Generator,
    made: Callable[[Tensor, Draws], Tensor],
) -> Iterator[Tensor]:
    """Augmented images of each batch of rows, in turn.

    Args:
        rows: (b,) int64 images of each step's batch, on the CPU.
        size: height and width of the images.
        draws: what chance is drawn from, batch by batch.
        made: augments images (b,) as drawn.
    """
    for first in rows:
        more = max(1, PIXELS_AT_ONCE.get(device.type, 0) // (len(first) * size[0] * size[1])) - 1
        batches = [first, *itertools.islice(rows, more)]
        drawn = [Draws.draw(spec, len(batch), *size, draws) for batch in batches]
        yield from torch.split(made(torch.cat(batches), Draws.concatenate(drawn)), [len(batch) for batch in batches])
