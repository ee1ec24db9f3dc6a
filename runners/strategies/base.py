"""The contract of a query strategy: `select(view, n, rng) -> indices`.

A strategy sees a `View`. No pool label, no validation or test data, no data set object is reachable from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from runners.guard.errors import StrategyError
from runners.strategies.support.aggregation import Aggregation
from runners.strategies.view import Need, View


@dataclass(frozen=True)
class Estimation:
    """How uncertainty over the classifier is sampled, for the needs `mc_samples` and `members`.

    Attributes:
        samples: dropout masks s >= 1.
        dropout: share of the penultimate embedding that is dropped, in (0, 1); only where the compared network has no
            dropout of its own (if it has, that is what is sampled).
        members: networks m >= 1 of an ensemble, the compared one included.
    """

    samples: int = 20
    dropout: float = 0.5
    members: int = 5

    def __post_init__(self) -> None:
        faults = [
            Fault(f"strategy argument {name}", "at least 1", str(getattr(self, name)))
            for name in ("samples", "members")
            if getattr(self, name) < 1
        ]
        if not 0 < self.dropout < 1:
            faults.append(Fault("strategy argument dropout", "between 0 and 1", str(self.dropout)))
        if faults:
            raise InputError(faults)


@dataclass(frozen=True)
class Context:
    """What a strategy with a trained part of its own may learn from, once a round, before it selects.

    Attributes:
        view: the round's view; labels are those owned.
        device: where its tensors lie and where to train.
        network: makes a copy of the trained classifier, in evaluation mode; training or breaking the copy changes nothing else.
        scaled: uint8 images (b, height, width, channels) to the network's input (b, channels, height, width).
        retrained: trains by the protocol's recipe on the owned labels and on more of the unlabelled (m,) indices with classes (m,),
            and returns what predicts (j, k) probabilities of (j,) pool indices. Equal calls of a round give equal classifiers.
    """

    view: View
    device: torch.device
    network: Callable[[], nn.Module]
    scaled: Callable[[Tensor], Tensor]
    retrained: Callable[[Indices, NDArray[np.int64]], Callable[[Indices], Tensor]]


class Strategy(ABC):
    """Base of all query strategies; an own one may also be any class or function of the same shape."""

    needs: ClassVar[tuple[Need, ...]] = ()
    """What the runner computes for it, once, in evaluation mode, without augmentation."""
    paper: ClassVar[str] = ""
    cost: ClassVar[str] = "O(u)"
    """Order of the query's cost in u unlabelled, l labelled, n queried, k classes, d embedding width."""
    cold_start: ClassVar[bool] = False
    """Whether it can choose with nothing labelled yet; of a starting set only if it needs nothing that a trained network gives."""
    order_free: ClassVar[bool] = False
    """Whether, ties apart, the pool's order and the generator have no say in what it chooses."""
    tasks: ClassVar[tuple[str, ...]] = ("classification", "segmentation")
    """Kinds of prediction it is meant for; it also must not need what a task does not offer."""
    estimation: Estimation = Estimation()
    """How `mc_samples` and `members` are made, for those that need them."""

    least: ClassVar[float] = 0.0
    """Lowest value that scores of pixels can have: nothing to gain there."""
    aggregation: Aggregation = Aggregation()
    """How a segmentation's scores of pixels become one of the image."""

    def prepare(self, context: Context, generator: torch.Generator) -> None:  # noqa: B027  # a null object: most have nothing to train
        """Train what the strategy itself needs; called once a round before `select`. Most need nothing.

        Build everything anew each time: an interrupted run continues with a fresh strategy and must choose the same.

        Args:
            context: what may be learned from.
            generator: on the CPU, the only source of randomness for data order and noise. Initial weights and dropout,
                which know only torch's global generator, are seeded by the runner around this call.
        """

    @abstractmethod
    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Exactly `n` distinct members of `view.unlabelled`, 1 <= n <= u; equal generators give equal answers.

        Where what is bought differs in cost, `n` is the most that the budget can pay for, and the first are bought as far as it reaches.
        """


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
    array = np.asarray(selection.detach().cpu().numpy() if isinstance(selection, Tensor) else selection)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        found, fix = f"{array.dtype} of shape {array.shape}", "return members of view.unlabelled"
        if array.dtype == bool:
            fix = "return view.unlabelled[mask]"
        elif array.ndim == 0:
            found, fix = (
                "None" if selection is None else f"a {type(selection).__name__}",
                f"{fix}, as an array or a list",
            )
        raise StrategyError(Fault(where, f"{n} integers in one dimension", found, fix))
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
