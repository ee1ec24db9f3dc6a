"""What differs between kinds of prediction; the loop, the record and the statistics are the same for all."""

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
"""What is offered of whole images, and not of regions."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What came of a round's test predictions.

    Attributes:
        metrics: as the oracle computed them.
        predictions: digest of what the sidecar holds of the predictions.
        probabilities: digest of the sidecar's log-probabilities; empty: none kept.
        maps: digest of the sidecar's predicted maps; empty: none kept.
        sidecar: arrays by name; metrics can be computed from them and the kept test labels again.
    """

    metrics: dict[str, float]
    predictions: str
    probabilities: str = ""
    maps: str = ""
    sidecar: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Task(ABC):
    """A kind of prediction: its networks, targets, measurements, and which strategies suit it."""

    name: ClassVar[str]
    labels: ClassVar[str]
    """What one label says, in words."""
    offers: ClassVar[frozenset[Need]]
    """Needs that a strategy may declare."""

    @abstractmethod
    def refuse_unknown_model(self, name: str, where: str) -> None:
        """Raise InputError if no network of this task has the name."""

    @abstractmethod
    def build(self, model: Model, images: Images, seed: int) -> nn.Module:
        """The network with its initial weights, on the CPU. Raises InputError."""

    @abstractmethod
    def pretrained_part(self, net: Any) -> nn.Module:
        """What of the network pretrained weights are of."""

    @abstractmethod
    def targets(self, labels: NDArray[np.integer]) -> Tensor:
        """Owned labels as training wants them."""

    @abstractmethod
    def learner(self, net: Any, resident: Resident, scaling: Scaling, precision: Precision) -> TrainedNetwork[Any]:
        """What predicts with the network."""

    @abstractmethod
    def examine(self, learner: Any, test: Indices, oracle: LabelOracle, tables: bool, shown: Indices) -> Evaluation:
        """Have the oracle evaluate the test predictions, once.

        Args:
            tables: whether their probabilities may be kept.
            shown: places in `test` whose predicted maps are kept.
        """

    @abstractmethod
    def adapt(self, strategy: Strategy) -> Strategy | None:
        """The strategy as it works on this task, or None if it cannot."""

    def adapt_or_refuse(self, strategy: Strategy, name: str, *, regions: bool = False) -> Strategy:
        """`suited`, or InputError that says what the task does not offer; `regions`: whether regions of images are bought."""
        suited, offers = self.adapt(strategy), self.offers - (WHOLE if regions else set())
        if suited is None or not set(suited.needs) & self.offers <= offers:
            missing = sorted(set(strategy.needs) - offers)
            found = f"{', '.join(missing)} needed" if missing else f"one for {', '.join(strategy.tasks)}"
            expected = f"a strategy for {self.name}{' of regions' if regions else ''}, which offers {', '.join(sorted(offers))}"
            raise InputError(Fault(f"strategy {name}", expected, found, "leave it out, or see `beatrandom strategies`"))
        return suited
