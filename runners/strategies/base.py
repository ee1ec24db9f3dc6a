"""The contract of a query strategy: `select(view, n, rng) -> indices`.

A strategy sees a `View`: the pool as indices, the labels the run owns, and what it declared to
need. No pool label, no validation or test data, no data set object is reachable from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protocol.errors import BeatRandomError, Fault
from protocol.splits import Indices

Need = Literal["probabilities", "embeddings", "labelled_embeddings"]
NEEDS: tuple[Need, ...] = get_args(Need)


class StrategyError(BeatRandomError):
    """A strategy broke the contract: it raised, read what it did not declare, or returned a bad selection."""


@dataclass(frozen=True, repr=False)
class View:
    """What a strategy may see in one round. Rows follow `unlabelled` (or `labelled`); tensors lie on the run's device.

    Attributes:
        unlabelled: (u,) int64 data-set indices that can be bought, ascending, read-only.
        labelled: (l,) int64 data-set indices owned, in the order of purchase, read-only.
        labels: (l,) int64 classes of `labelled`, read-only.
        classes: number of classes k.
        round: number of the round, from 0.
    """

    unlabelled: Indices
    labelled: Indices
    labels: NDArray[np.int64]
    classes: int
    round: int
    features: Mapping[Need, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for array in (self.unlabelled, self.labelled, self.labels):
            array.flags.writeable = False

    @property
    def probabilities(self) -> Tensor:
        """(u, k) float32 class probabilities of the unlabelled images; rows sum to 1."""
        return self._feature("probabilities")

    @property
    def embeddings(self) -> Tensor:
        """(u, d) penultimate-layer embeddings of the unlabelled images."""
        return self._feature("embeddings")

    @property
    def labelled_embeddings(self) -> Tensor:
        """(l, d) penultimate-layer embeddings of the labelled images."""
        return self._feature("labelled_embeddings")

    def _feature(self, need: Need) -> Tensor:
        if need not in self.features:
            raise StrategyError(
                Fault(f"view.{need}", f"a need the strategy declares: {sorted(self.features)}", repr(need), f"add {need!r} to its `needs`")
            )
        return self.features[need]


class Strategy(ABC):
    """Base of all query strategies; an own one may also be any class or function of the same shape."""

    needs: ClassVar[tuple[Need, ...]] = ()
    """What the runner computes for it, once, in evaluation mode, without augmentation."""
    paper: ClassVar[str] = ""
    cost: ClassVar[str] = "O(u)"
    """Order of the query's cost in u unlabelled, l labelled, n queried, k classes, d embedding width."""
    cold_start: ClassVar[bool] = False
    """Whether it can choose with nothing labelled yet."""

    @abstractmethod
    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Exactly `n` distinct members of `view.unlabelled`, 1 <= n <= u; equal generators give equal answers."""


def top(view: View, scores: Tensor, n: int, rng: np.random.Generator) -> Indices:
    """The n unlabelled indices with the highest scores; equal scores are ordered at random, not by index.

    Raises:
        StrategyError: scores are not one finite number per unlabelled image.
    """
    values = scores.detach().to("cpu", torch.float64).numpy()
    if values.shape != view.unlabelled.shape or not np.isfinite(values).all():
        found = f"shape {values.shape}, {int((~np.isfinite(values)).sum())} not finite"
        raise StrategyError(Fault("scores", f"{len(view.unlabelled)} finite numbers", found, "mend the score"))
    shuffled = rng.permutation(len(values))
    order = shuffled[np.argsort(-values[shuffled], kind="stable")]
    return view.unlabelled[order[:n]]


def checked(selection: object, view: View, n: int, name: str) -> Indices:
    """The selection as int64 indices, or StrategyError with every fault it has."""
    where = f"selection of {name}, round {view.round}"
    array = selection.detach().cpu().numpy() if isinstance(selection, Tensor) else np.asarray(selection)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise StrategyError(
            Fault(where, f"{n} integers in one dimension", f"{array.dtype} of shape {array.shape}", "return members of view.unlabelled")
        )
    indices = array.astype(np.int64)
    faults = []
    if len(indices) != n:
        faults.append(Fault(where, f"{n} indices", str(len(indices))))
    values, counts = np.unique(indices, return_counts=True)
    if (counts > 1).any():
        faults.append(Fault(where, "distinct indices", f"repeated: {values[counts > 1][:5].tolist()}"))
    if (owned := np.intersect1d(values, view.labelled)).size:
        faults.append(Fault(where, "unlabelled indices", f"labelled already: {owned[:5].tolist()}"))
    if (strangers := np.setdiff1d(values, np.concatenate([view.unlabelled, view.labelled]))).size:
        faults.append(
            Fault(
                where,
                "members of view.unlabelled",
                f"not in the pool: {strangers[:5].tolist()}",
                "map positions: view.unlabelled[positions]",
            )
        )
    if faults:
        raise StrategyError(faults)
    return indices
