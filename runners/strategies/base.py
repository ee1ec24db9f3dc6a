"""Contract of a query strategy: `select(view, n, rng) -> indices`.

A strategy sees a `View`. From it, no label of an unlabelled image, no validation or test data, and no data set object
can be reached.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

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
    """How to sample uncertainty over the classifier, for the needs `mc_samples` and `members`.

    Attributes:
        samples: number of dropout masks s >= 1.
        dropout: share of the penultimate embedding to drop, in (0, 1), if the evaluated network has no dropout of its
            own. If it has, its own dropout is sampled.
        members: number of networks m >= 1 of an ensemble, the evaluated one included.
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
    """Material from which a strategy may train a part of its own, once per round, before it selects.

    Attributes:
        view: the round's view; its labels are those of labelled images.
        device: device of its tensors, on which to train.
        network: function that returns a copy of the trained classifier in evaluation mode. Changing the copy changes
            nothing else.
        scaled: function from uint8 images (b, height, width, channels) to the network's input (b, channels, height,
            width).
        retrained: function that trains by the protocol's recipe on the labelled images and on further unlabelled
            indices (m,) with classes (m,). It returns a function from pool indices (j,) to probabilities (j, k). Equal
            calls within a round give equal classifiers.
    """

    view: View
    device: torch.device
    network: Callable[[], nn.Module]
    scaled: Callable[[Tensor], Tensor]
    retrained: Callable[[Indices, NDArray[np.int64]], Callable[[Indices], Tensor]]


class Strategy(ABC):
    """Base of all query strategies; any class or function of the same shape works, too."""

    needs: ClassVar[tuple[Need, ...]] = ()
    """Features that the runner computes for the strategy, once, in evaluation mode, without augmentation."""
    paper: ClassVar[str] = ""
    cost: ClassVar[str] = "O(u)"
    """Order of a query's cost in u unlabelled, l labelled, n queried, k classes, d embedding width."""
    cold_start: ClassVar[bool] = False
    """Whether it can select with nothing labelled; an initial set only if it needs no feature of a trained network."""
    sees_order: ClassVar[bool] = False
    """Whether it must see the order in which the data set stores its images, for example of a video.

    The protocol has to allow it (`splits.order = "shown"`). All others see ids in random order.
    """
    order_free: ClassVar[bool] = False
    """Whether, except for ties, the selection depends on neither the pool's order nor the generator."""
    tasks: ClassVar[tuple[str, ...]] = ("classification", "segmentation")
    """Tasks it is meant for; a task must also offer all its needs."""
    estimation: Estimation = Estimation()
    """How `mc_samples` and `members` are computed."""

    least: ClassVar[float] = 0.0
    """Lowest possible score of a pixel."""
    aggregation: Aggregation = Aggregation()
    """How scores of pixels become one score per image (segmentation)."""

    def prepare(self, context: Context, generator: torch.Generator) -> None:  # noqa: B027  # a null object: most have nothing to train
        """Train the strategy's own networks.

        It is called once per round before `select`; most strategies train nothing.

        Build everything from scratch each time: an interrupted run continues with a new strategy object and must select
        the same images.

        Args:
            context: material to learn from.
            generator: generator on the CPU, the only source of randomness for data order and noise. Initial weights and
                dropout use torch's global generator, which the runner seeds around this call.
        """

    def state(self) -> Mapping[str, NDArray[Any]] | None:
        """Return what to remember until the next round: arrays of numbers by name; None: nothing.

        Only strategies that are not built in have a state. It goes on the record, and `restore` gets it back before
        the next query. Every round has a new object, so nothing else is remembered.
        """
        return None

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:  # noqa: B027  # a null object: most remember nothing
        """Take back what `state` returned in the round before.

        Args:
            state: the arrays.
        """

    def in_round(self) -> AbstractContextManager[None]:
        """Return a context in which the strategy serves one round; strategies of other processes need one."""
        return nullcontext()

    @abstractmethod
    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Select exactly `n` distinct members of `view.unlabelled`, 1 <= n <= u.

        Equal generators must give equal selections. If units differ in cost, `n` is the largest number that the budget
        can pay for, and units are labelled in the returned order until the budget is spent.
        """


def top(view: View, scores: Tensor, n: int, rng: np.random.Generator) -> Indices:
    """Return the n unlabelled indices with the highest scores; break ties at random, not by index.

    Args:
        view: the round's view, with u unlabelled images.
        scores: one score per unlabelled image, shape (u,).
        n: number of images to select.
        rng: generator for ties.

    Raises:
        StrategyError: the scores are not one finite number per unlabelled image.
    """
    values = scores.detach().to("cpu", torch.float64).numpy()
    if values.shape != view.unlabelled.shape or not np.isfinite(values).all():
        found = f"shape {values.shape}, {int((~np.isfinite(values)).sum())} not finite"
        raise StrategyError(Fault("scores", f"{len(view.unlabelled)} finite numbers", found, "fix the score"))
    shuffled = rng.permutation(len(values))
    order = shuffled[np.argsort(-values[shuffled], kind="stable")]
    return view.unlabelled[order[:n]]


def check_selection(selection: object, view: View, n: int, name: str) -> Indices:
    """Return the selection as int64 indices.

    Raises:
        StrategyError: the selection is not n distinct members of `view.unlabelled`; names every fault.
    """
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
    if (labelled := np.intersect1d(values, view.labelled)).size:
        faults.append(Fault(where, "unlabelled indices", f"labelled already: {labelled[:5].tolist()}"))
    if (unknown := values[~np.isin(values, np.concatenate([view.unlabelled, view.labelled]))]).size:
        faults.append(
            Fault(
                where,
                "members of view.unlabelled",
                f"not in the pool: {unknown[:5].tolist()}",
                "map positions: view.unlabelled[positions]",
            )
        )
    if faults:
        raise StrategyError(faults)
    return indices
