"""Classification: one class per image."""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from protocol.digests import array_digest
from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError, unknown_name
from protocol.oracle.oracle import LabelOracle
from protocol.record.layout import compact, predictions_digest
from protocol.spec.protocol import Model
from runners.datasets import Images
from runners.models import MODELS, Net, build
from runners.models.learner import Learner, Precision
from runners.models.resident import Resident, Scaling
from runners.strategies.base import Strategy
from runners.strategies.support.aggregation import Aggregation
from runners.strategies.view import NEEDS, Need
from runners.tasks.base import Evaluation, Task

DENSE_ONLY: frozenset[Need] = frozenset(
    {
        "map_scores",
        "mc_map_scores",
        "member_map_scores",
        "flip_map_scores",
        "class_mixtures",
        "labelled_class_mixtures",
        "expected_costs",
    }
)


class Classification(Task):
    """One class per image."""

    name = "classification"
    labels = "the class of an image"
    offers: ClassVar[frozenset[Need]] = frozenset(NEEDS) - DENSE_ONLY

    def refuse_unknown_model(self, name: str, where: str) -> None:
        """Raise InputError if no classifier has the name."""
        if name not in MODELS:
            raise InputError(unknown_name(where, name, list(MODELS)))

    def build(self, model: Model, images: Images, seed: int) -> Net:
        """Build a body with a linear layer."""
        return build(model, images, seed)

    def pretrained_part(self, net: Net) -> nn.Module:
        """Return the body: all but the last layer."""
        return net.body

    def targets(self, labels: NDArray[np.integer]) -> Tensor:
        """Convert labels to (l,) int64."""
        return torch.from_numpy(labels.astype(np.int64))

    def learner(self, net: Net, resident: Resident, scaling: Scaling, precision: Precision) -> Learner:
        """Return a learner that predicts classes, probabilities and embeddings of images."""
        return Learner(net, resident, scaling, precision)

    def examine(self, learner: Learner, test: Indices, oracle: LabelOracle, tables: bool, shown: Indices) -> Evaluation:  # noqa: ARG002  # all classes are kept
        """Keep the classes, and log-probabilities unless the table is too large."""
        predicted, table = learner.classes_and_log_probabilities(test, tables)
        metrics = oracle.examine(predicted, table)
        if table is None:
            return Evaluation(metrics, predictions_digest(predicted), sidecar={"prediction": compact(predicted)})
        sidecar = {"prediction": compact(predicted), "log_probability": table}
        return Evaluation(metrics, predictions_digest(predicted), array_digest(table), sidecar=sidecar)

    def adapt(self, strategy: Strategy) -> Strategy | None:
        """Return the strategy unless it is for other tasks only.

        Needs of unknown names are refused later, when the strategy's view of the round is built.

        Raises:
            InputError: arguments that aggregate scores over pixels.
        """
        if strategy.aggregation != Aggregation():
            found = ", ".join(f"{name} = {value}" for name, value in asdict(strategy.aggregation).items())
            raise InputError(
                Fault(
                    "strategy arguments", "no aggregation over pixels: the task is classification", found, "remove them"
                )
            )
        return strategy if self.name in strategy.tasks and not DENSE_ONLY & set(strategy.needs) else None
