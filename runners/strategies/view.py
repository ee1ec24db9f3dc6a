"""What a strategy may see: the pool as indices, the labels the run owns, and the features it declared to need."""

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
"""What one pass over the pool gives anyway."""
UNTRAINED: tuple[Need, ...] = ("embeddings", "labelled_embeddings", "images", "labelled_images")
"""What there is before any network is trained; embeddings are those of a pretrained body, or of the network with its initial weights."""


class GradientFactors(NamedTuple):
    """Gradient of the loss at the predicted class with respect to the last layer's weights, factorised.

    The gradient embedding of image i is the outer product residuals[i] ⊗ embeddings[i] (Ash 2020, section 3), k·d numbers
    that are never formed: inner products of two of them are products of inner products of their factors.
    """

    residuals: Tensor
    """(u, k) float32: probabilities minus the one-hot predicted class (the first of equals)."""
    embeddings: Tensor
    """(u, d) float32 penultimate embeddings."""


class ClassifierHead(NamedTuple):
    """The last layer: logits = embeddings @ weights.T + bias. Copies; changing them changes no prediction."""

    weights: Tensor
    """(k, d) float32."""
    bias: Tensor
    """(k,) float32."""


Feature = Tensor | GradientFactors | ClassifierHead


@dataclass(frozen=True, repr=False)
class View:
    """What a strategy may see in one round. Rows follow `unlabelled` (or `labelled`); tensors lie on the run's device.

    Everything is computed once, in evaluation mode, without augmentation.

    Attributes:
        unlabelled: (u,) int64 data-set indices that can be bought, ascending, read-only.
        labelled: (l,) int64 data-set indices owned, in the order of purchase, read-only.
        labels: (l,) int64 classes of `labelled`, read-only; of segmentation (l, height, width) uint8 masks, 255 where void.
        classes: number of classes k.
        round: number of the round, from 0; -1 where a starting set is chosen, with nothing labelled and no network trained.
        division: where regions of images are bought: which there are, and of which pixels. `unlabelled` and `labelled` are then regions, and
            `labels` (l, k) int64 how many pixels of each class every owned region has. None: whole images.
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
        """(u, k) float32 class probabilities of the unlabelled images; rows sum to 1."""
        return self._tensor("probabilities")

    @property
    def embeddings(self) -> Tensor:
        """(u, d) penultimate-layer embeddings of the unlabelled images."""
        return self._tensor("embeddings")

    @property
    def labelled_embeddings(self) -> Tensor:
        """(l, d) penultimate-layer embeddings of the labelled images."""
        return self._tensor("labelled_embeddings")

    @property
    def labelled_probabilities(self) -> Tensor:
        """(l, k) float32 class probabilities of the labelled images."""
        return self._tensor("labelled_probabilities")

    @property
    def gradient_factors(self) -> GradientFactors:
        """Last-layer gradients of the unlabelled images as residuals (u, k) and embeddings (u, d)."""
        return cast(GradientFactors, self._feature("gradient_factors"))

    @property
    def classifier_head(self) -> ClassifierHead:
        """Weights (k, d) and bias (k,) of the last layer."""
        return cast(ClassifierHead, self._feature("classifier_head"))

    @property
    def images(self) -> Tensor:
        """(u, height, width, channels) uint8 unlabelled images."""
        return self._tensor("images")

    @property
    def labelled_images(self) -> Tensor:
        """(l, height, width, channels) uint8 labelled images."""
        return self._tensor("labelled_images")

    @property
    def mc_samples(self) -> Tensor:
        """(u, s, k) float32 probabilities under s dropout masks, each mask the same for all images."""
        return self._tensor("mc_samples")

    @property
    def members(self) -> Tensor:
        """(u, m, k) float32 probabilities by the members of an ensemble; the first is the compared classifier."""
        return self._tensor("members")

    @property
    def pool_labels(self) -> Tensor:
        """(u,) int64 true classes of the unlabelled images; the seller tells them to the upper line `oracle` alone."""
        return self._tensor("pool_labels")

    @property
    def map_scores(self) -> Tensor:
        """(u,) float32 of segmentation: the strategy's own score of each image's predicted map (`OnMaps.score_maps`)."""
        return self._tensor("map_scores")

    @property
    def mc_map_scores(self) -> Tensor:
        """(u,) as `map_scores`, from maps under dropout masks."""
        return self._tensor("mc_map_scores")

    @property
    def member_map_scores(self) -> Tensor:
        """(u,) as `map_scores`, from the maps of an ensemble."""
        return self._tensor("member_map_scores")

    @property
    def flip_map_scores(self) -> Tensor:
        """(u,) as `map_scores`, from an image's map and the map of its mirror image, mirrored back: (b, 2, k, height, width)."""
        return self._tensor("flip_map_scores")

    @property
    def class_mixtures(self) -> Tensor:
        """(u, k, k) of segmentation: row c is the entropy-weighted mean prediction of the pixels predicted as c; zeros where none is."""
        return self._tensor("class_mixtures")

    @property
    def labelled_class_mixtures(self) -> Tensor:
        """(l, k, k) as `class_mixtures`, of what is owned."""
        return self._tensor("labelled_class_mixtures")

    @property
    def expected_costs(self) -> Tensor:
        """(u,) float32 of segmentation: what each unlabelled image or region is expected to cost, in the budget's unit, at least 1.

        A label is 1 and pixels are counted. Clicks are known once they are paid; before, they are those of the predicted map.
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
            if part.is_floating_point() and not bool(
                part.isfinite().all()
            ):  # NaN is above, below and beside everything: no order holds
                found = f"{int((~part.isfinite()).sum())} of {part.numel()} NaN or infinite"
                raise StrategyError(
                    Fault(
                        f"view.{need}", "finite numbers", found, "training diverged: mend the recipe, or what made them"
                    )
                )
        return feature
