"""Ids that stand for images where a strategy sees them.

Where images are stored by class, positions tell labels. So a strategy that is not built in sees other numbers, drawn
per run: their order says nothing about the images, and they are so sparse that a position returned by mistake is none
of them. The record and the oracle keep the true indices. Built-in strategies see true indices, so that records made
before this can be replayed; the contract test shows that a permuted pool changes nothing but ties.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol.draws.seeds import generator
from protocol.draws.splits import Indices

_FROM: Final = 2**40
_TO: Final = 2**53
"""Ids are drawn from this range: far above every position, and exact in JSON."""


class OpaqueIds:
    """Ids of all images of a data set in one run.

    Args:
        ids: (n,) distinct int64; the id of image i is `ids[i]`.
    """

    def __init__(self, ids: Indices) -> None:
        self._ids = ids
        self._order = np.argsort(ids)

    @classmethod
    def draw(cls, root: int, replicate: int, images: int, *, in_order: bool = False) -> OpaqueIds:
        """Draw the ids of a run from its `query` stream.

        Args:
            root: root seed of the protocol.
            replicate: the run's seed.
            images: number of images n.
            in_order: whether ids ascend with the indices, for a strategy that sees the order of the images.
        """
        rng = generator(root, "query", replicate, "opaque ids")
        ids = np.empty(0, np.int64)
        while len(ids) < images:
            ids = np.unique(np.concatenate([ids, rng.integers(_FROM, _TO, images - len(ids))]))
        return cls(ids if in_order else rng.permutation(ids))

    def of(self, indices: Indices) -> Indices:
        """Return the ids of images."""
        found: Indices = self._ids[indices]
        return found

    def indices(self, ids: Indices) -> tuple[NDArray[np.bool_], Indices]:
        """Return which ids are known, and the images that they stand for; 0 for unknown ones."""
        place = np.searchsorted(self._ids, ids, sorter=self._order).clip(max=len(self._ids) - 1)
        indices = self._order[place]
        known = self._ids[indices] == ids
        return known, np.where(known, indices, 0)
