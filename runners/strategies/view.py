"""View of a round: the pool as indices, labels, and the features that a strategy needs.

Labels are those of labelled images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from protocol.draws.splits import Indices
from protocol.errors import Fault
from protocol.spec.units import Division
from runners.guard.errors import StrategyError

Need = Literal[
    "probabilities",
    "embeddings",
    "labelled_embeddings",
    "labelled_probabilities",
    "gradient_factors",
    "classifier_head",
    "images",
    "labelled_images",
    "mc_samples",
    "members",
    "pool_labels",
    "map_scores",
    "mc_map_scores",
    "member_map_scores",
    "flip_map_scores",
    "class_mixtures",
    "labelled_class_mixtures",
    "expected_costs",
]
NEEDS: tuple[Need, ...] = get_args(Need)
CHEAP: tuple[Need, ...] = (
    "probabilities",
    "embeddings",
    "labelled_embeddings",
    "labelled_probabilities",
    "classifier_head",
)
"""Features that one pass over the pool gives."""
UNTRAINED: tuple[Need, ...] = ("embeddings", "labelled_embeddings", "images", "labelled_images")
"""Features available before training; embeddings come from a pretrained body or from the initial weights."""


class GradientFactors(NamedTuple):
    """Gradient of the loss at the predicted class with respect to the last layer's weights, factorised.

    The gradient embedding of image i is the outer product residuals[i] ⊗ embeddings[i] (Ash 2020, section 3). Its k·d
    numbers are never formed: the inner product of two outer products is the product of the inner products of their
    factors.
    """

    residuals: Tensor
    """(u, k) float32: probabilities minus the one-hot predicted class (of equals the first)."""
    embeddings: Tensor
    """(u, d) float32 penultimate embeddings."""


class ClassifierHead(NamedTuple):
    """Copy of the last layer: logits = embeddings @ weights.T + bias. Changing it changes no prediction."""

    weights: Tensor
    """(k, d) float32."""
    bias: Tensor
    """(k,) float32."""


Feature = Tensor | GradientFactors | ClassifierHead


@dataclass(frozen=True, repr=False)
class View:
    """All that a strategy may see in one round.

    Rows of features follow `unlabelled` (or `labelled`); tensors are on the run's device. Features are computed once,
    in evaluation mode, without augmentation.

    Attributes:
        unlabelled: (u,) int64 data set indices that can be labelled, ascending, read-only.
        labelled: (l,) int64 data set indices of labelled images, in the order of labelling, read-only.
        labels: (l,) int64 classes of `labelled`, read-only. For segmentation (l, height, width) uint8 masks, 255 for
            void.
        classes: number of classes k.
        round: number of the round, from 0; -1 for the selection of an initial set, before any label or training.
        features: computed features by name; read them through the properties.
        division: division of images into regions, if regions are labelled; `None` for whole images. With regions,
            `unlabelled` and `labelled` are numbers of regions, and `labels` (l, k) int64 the pixels of each class in
            every labelled region.
    """

    unlabelled: Indices
    labelled: Indices
    labels: NDArray[np.integer]
    classes: int
    round: int
    features: Mapping[Need, Feature] = field(default_factory=dict)
    division: Division | None = None

    def __post_init__(self) -> None:
        for array in (self.unlabelled, self.labelled, self.labels):
            array.flags.writeable = False

    @property
    def probabilities(self) -> Tensor:
        """Return (u, k) float32 class probabilities of the unlabelled images; rows sum to 1."""
        return self._tensor("probabilities")

    @property
    def embeddings(self) -> Tensor:
        """Return (u, d) penultimate-layer embeddings of the unlabelled images."""
        return self._tensor("embeddings")

    @property
    def labelled_embeddings(self) -> Tensor:
        """Return (l, d) penultimate-layer embeddings of the labelled images."""
        return self._tensor("labelled_embeddings")

    @property
    def labelled_probabilities(self) -> Tensor:
        """Return (l, k) float32 class probabilities of the labelled images."""
        return self._tensor("labelled_probabilities")

    @property
    def gradient_factors(self) -> GradientFactors:
        """Return last-layer gradients of the unlabelled images as residuals (u, k) and embeddings (u, d)."""
        return cast(GradientFactors, self._feature("gradient_factors"))

    @property
    def classifier_head(self) -> ClassifierHead:
        """Return weights (k, d) and bias (k,) of the last layer."""
        return cast(ClassifierHead, self._feature("classifier_head"))

    @property
    def images(self) -> Tensor:
        """Return (u, height, width, channels) uint8 unlabelled images."""
        return self._tensor("images")

    @property
    def labelled_images(self) -> Tensor:
        """Return (l, height, width, channels) uint8 labelled images."""
        return self._tensor("labelled_images")

    @property
    def mc_samples(self) -> Tensor:
        """Return (u, s, k) float32 probabilities under s dropout masks, each mask the same for all images."""
        return self._tensor("mc_samples")

    @property
    def members(self) -> Tensor:
        """Return (u, m, k) float32 probabilities by an ensemble, the evaluated classifier first."""
        return self._tensor("members")

    @property
    def pool_labels(self) -> Tensor:
        """Return (u,) int64 true classes of the unlabelled images; disclosed only to the oracle strategy."""
        return self._tensor("pool_labels")

    @property
    def map_scores(self) -> Tensor:
        """Return (u,) float32 scores of predicted maps by the strategy itself; segmentation only."""
        return self._tensor("map_scores")

    @property
    def mc_map_scores(self) -> Tensor:
        """Return (u,) scores as `map_scores`, from maps under dropout masks."""
        return self._tensor("mc_map_scores")

    @property
    def member_map_scores(self) -> Tensor:
        """Return (u,) scores as `map_scores`, from the maps of an ensemble."""
        return self._tensor("member_map_scores")

    @property
    def flip_map_scores(self) -> Tensor:
        """Return (u,) scores as `map_scores`, from the maps of an image and its mirror image."""
        return self._tensor("flip_map_scores")

    @property
    def class_mixtures(self) -> Tensor:
        """Return (u, k, k) class-wise mixtures of the unlabelled images; segmentation only.

        Row c is the entropy-weighted mean prediction of the pixels predicted as class c; zeros without such pixels.
        """
        return self._tensor("class_mixtures")

    @property
    def labelled_class_mixtures(self) -> Tensor:
        """Return (l, k, k) class-wise mixtures of the labelled images, see `class_mixtures`."""
        return self._tensor("labelled_class_mixtures")

    @property
    def expected_costs(self) -> Tensor:
        """Return (u,) float32 expected costs of the unlabelled images or regions, at least 1.

        For segmentation only.

        Costs are in the budget's unit: a label costs 1, and pixels are counted. Clicks are known only after labelling;
        before, they are counted on the predicted map.
        """
        return self._tensor("expected_costs")

    def _tensor(self, need: Need) -> Tensor:
        return cast(Tensor, self._feature(need))

    def _feature(self, need: Need) -> Feature:
        if need not in self.features:
            raise StrategyError(
                Fault(
                    f"view.{need}",
                    f"a need the strategy declares: {sorted(self.features)}",
                    repr(need),
                    f"add {need!r} to its `needs`",
                )
            )
        feature = self.features[need]
        for part in (feature,) if isinstance(feature, Tensor) else feature:
            # comparisons with NaN are always false, so no order would hold
            if part.is_floating_point() and not bool(part.isfinite().all()):
                found = f"{int((~part.isfinite()).sum())} of {part.numel()} NaN or infinite"
                fix = "training diverged: fix the recipe, or the code that computes the feature"
                raise StrategyError(Fault(f"view.{need}", "finite numbers", found, fix))
        return feature
