"""Base class of the kinds of prediction.

The loop, the record and the statistics are the same for all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from protocol.oracle.oracle import LabelOracle
from protocol.spec.protocol import Model
from runners.datasets import Images

if TYPE_CHECKING:  # these import this package
    from runners.models.learner import Precision, TrainedNetwork
    from runners.models.resident import Resident, Scaling
    from runners.strategies import Strategy
from runners.strategies.view import Need

WHOLE: Final[frozenset[Need]] = frozenset({"images", "labelled_images"})
"""Needs that are available for whole images, but not for regions."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Evaluation of a round's test predictions.

    Attributes:
        metrics: metrics that the oracle computed.
        predictions: digest of the predictions in the sidecar.
        probabilities: digest of the log-probabilities in the sidecar; empty if there are none.
        maps: digest of the predicted maps in the sidecar; empty if there are none.
        sidecar: arrays by name. Metrics can be recomputed from them and the test labels kept in the study.
    """

    metrics: dict[str, float]
    predictions: str
    probabilities: str = ""
    maps: str = ""
    sidecar: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Task(ABC):
    """A kind of prediction: its networks, targets, metrics, and the strategies that work on it."""

    name: ClassVar[str]
    labels: ClassVar[str]
    """Description of one label."""
    offers: ClassVar[frozenset[Need]]
    """Needs that a strategy may declare on this task."""

    @abstractmethod
    def refuse_unknown_model(self, name: str, where: str) -> None:
        """Raise InputError if no network of this task has the name."""

    @abstractmethod
    def build(self, model: Model, images: Images, seed: int) -> nn.Module:
        """Build the network with its initial weights, on the CPU. Raises InputError."""

    @abstractmethod
    def pretrained_part(self, net: Any) -> nn.Module:
        """Return the part of the network that pretrained weights are loaded into."""

    @abstractmethod
    def targets(self, labels: NDArray[np.integer]) -> Tensor:
        """Convert labels to the targets of training."""

    @abstractmethod
    def learner(self, net: Any, resident: Resident, scaling: Scaling, precision: Precision) -> TrainedNetwork[Any]:
        """Return a learner that predicts with the network."""

    @abstractmethod
    def examine(self, learner: Any, test: Indices, oracle: LabelOracle, tables: bool, shown: Indices) -> Evaluation:
        """Predict the test images, and let the oracle evaluate the predictions once.

        Args:
            tables: whether log-probabilities may be kept.
            shown: positions in `test` whose predicted maps are kept.
        """

    @abstractmethod
    def adapt(self, strategy: Strategy) -> Strategy | None:
        """Return the strategy adapted to this task, or `None` if it cannot work on it."""

    def adapt_or_refuse(self, strategy: Strategy, name: str, *, regions: bool = False) -> Strategy:
        """Return the strategy adapted to this task.

        Args:
            regions: whether regions of images are queried.

        Raises:
            InputError: the strategy is for other tasks, or needs what the task does not offer.
        """
        adapted, offers = self.adapt(strategy), self.offers - (WHOLE if regions else set())
        if adapted is None or not set(adapted.needs) & self.offers <= offers:
            missing = sorted(set(strategy.needs) - offers)
            found = f"{', '.join(missing)} needed" if missing else f"a strategy for {', '.join(strategy.tasks)}"
            kind = f"{self.name}{' of regions' if regions else ''}"
            expected = f"a strategy for {kind}, which offers {', '.join(sorted(offers))}"
            raise InputError(Fault(f"strategy {name}", expected, found, "leave it out, or see `beatrandom strategies`"))
        return adapted
