"""Segmentation: one class per pixel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from protocol.draws.shown_maps import maps_digest
from protocol.draws.splits import Indices
from protocol.metrics import VOID, segmentation_metrics
from protocol.oracle.oracle import LabelOracle
from protocol.record.layout import compact, predictions_digest
from protocol.spec.protocol import Model
from runners.datasets import Images
from runners.models import segmentation
from runners.models.dense import DenseNet, Maps
from runners.models.learner import Precision, TrainedNetwork
from runners.models.resident import Resident, Scaling
from runners.strategies.base import Strategy
from runners.strategies.on_maps import MapStrategy, on_maps
from runners.strategies.resolve import Wrapped
from runners.strategies.view import Need
from runners.tasks.base import Evaluation, Task

OFFERS: Final[frozenset[Need]] = frozenset(
    {
        "embeddings",
        "labelled_embeddings",
        "gradient_factors",
        "images",
        "labelled_images",
        "map_scores",
        "mc_map_scores",
        "member_map_scores",
        "flip_map_scores",
        "class_mixtures",
        "labelled_class_mixtures",
        "expected_costs",
    }
)


def count_confusions(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """Count pixels by true class (rows) and predicted class, per image.

    Void pixels are not counted.

    The numbers equal those of `protocol.metrics.confusion_matrices`, but are counted on the device.

    Args:
        predicted: (n, height, width) classes.
        target: (n, height, width) classes and `VOID`.

    Returns:
        (n, classes, classes) int64.
    """
    n, cells = len(target), classes * classes
    image = torch.arange(n, device=target.device)[:, None, None]
    place = image * (cells + 1) + torch.where(target == VOID, cells, target.long() * classes + predicted.long())
    pixels = torch.bincount(place.flatten(), minlength=n * (cells + 1)).view(n, cells + 1)
    return pixels[:, :cells].reshape(n, classes, classes)


class MapLearner(TrainedNetwork[DenseNet]):
    """A trained network that classifies every pixel."""

    @torch.no_grad()
    def passes(self, indices: Indices, mirrored: bool = False) -> Iterator[tuple[int, Maps]]:
        """Yield (position of the first image, maps on the device), a few images at a time.

        Args:
            mirrored: whether to mirror the images left-right; the maps are not mirrored back.
        """
        for start, x in self._batches(indices, least=1):
            with self._computing():
                maps = self.net.maps(x.flip(3) if mirrored else x)
            yield start, maps

    def labels(self, indices: Indices) -> NDArray[np.uint8]:
        """Return (m, height, width) most probable classes; the first of equals."""
        height, width = self._resident.pixels.shape[1:3]
        predicted = np.empty((len(indices), height, width), np.uint8)
        for start, maps in self.passes(indices):
            predicted[start : start + len(maps.logits)] = maps.logits.float().argmax(1).to("cpu", torch.uint8).numpy()
        return predicted

    @torch.no_grad()
    def metrics(self, indices: Indices, labels: NDArray[np.integer]) -> dict[str, float]:
        """Compute mean IoU and pixel accuracy, counted on the device.

        0 if all labelled pixels are void.
        """
        classes = self.net.head.out_channels
        total = torch.zeros(1, classes, classes, dtype=torch.int64, device=self._resident.device)
        for start, maps in self.passes(indices):
            truth = torch.from_numpy(labels[start : start + len(maps.logits)].astype(np.uint8)).to(total.device)
            total += count_confusions(maps.logits.float().argmax(1), truth, classes).sum(0)
        return segmentation_metrics(total.cpu().numpy()) if total.any() else {"mean_iou": 0.0, "pixel_accuracy": 0.0}

    def embeddings(self, indices: Indices) -> Tensor:
        """Return (m, e) float32 deepest features, averaged over pixels."""
        parts = [maps.embedded for _, maps in self.passes(indices)]
        return torch.cat(parts) if parts else torch.empty(0, self.net.embedding_size, device=self._resident.device)


class Segmentation(Task):
    """One class per pixel."""

    name = "segmentation"
    labels = "the mask of an image"
    offers: ClassVar[frozenset[Need]] = OFFERS

    def refuse_unknown_model(self, name: str, where: str) -> None:
        """Raise InputError if no segmentation network has the name."""
        segmentation.refuse_unknown(name, where)

    def build(self, model: Model, images: Images, seed: int) -> DenseNet:
        """Build a body with a 1×1 convolution."""
        return segmentation.build(model, images, seed)

    def pretrained_part(self, net: DenseNet) -> nn.Module:
        """Return the encoder, the part that it shares with classifiers of whole images."""
        return net.body.encoding()

    def targets(self, labels: NDArray[np.integer]) -> Tensor:
        """Convert labels to (l, height, width) uint8 classes and void."""
        return torch.from_numpy(labels.astype(np.uint8))

    def learner(self, net: DenseNet, resident: Resident, scaling: Scaling, precision: Precision) -> MapLearner:
        """Return a learner that predicts maps."""
        return MapLearner(net, resident, scaling, precision)

    def examine(
        self,
        learner: MapLearner,
        test: Indices,
        oracle: LabelOracle,
        tables: bool,  # noqa: ARG002  # maps of probabilities are never kept
        shown: Indices,
    ) -> Evaluation:
        """Keep one confusion matrix per image, and the maps of the shown images."""
        predicted = learner.labels(test)
        matrices = oracle.examine_maps(predicted)
        digest, sidecar = predictions_digest(matrices), {"confusion": compact(matrices)}
        if not len(shown):
            return Evaluation(segmentation_metrics(matrices), digest, sidecar=sidecar)
        maps = predicted[shown]
        return Evaluation(
            segmentation_metrics(matrices),
            digest,
            "",
            maps_digest(shown, maps),
            sidecar | {"place": shown, "map": maps},
        )

    def adapt(self, strategy: Strategy) -> Strategy | None:
        """Return the strategy itself, or one that aggregates its scores over pixels."""
        if isinstance(strategy, MapStrategy):
            return strategy
        if self.name not in strategy.tasks:
            return None
        if isinstance(strategy, Wrapped) and not strategy.declares:
            strategy.needs = tuple(need for need in strategy.needs if need in self.offers)  # type: ignore[misc]  # per wrapped object
        return strategy if set(strategy.needs) <= self.offers else on_maps(strategy)
