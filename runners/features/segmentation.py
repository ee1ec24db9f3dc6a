"""Features for segmentation: scores and features of whole images, never all predicted maps at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.draws.splits import Indices
from protocol.spec.units import Division, Units
from runners.datasets.regions import expected_cost
from runners.strategies.base import Strategy
from runners.strategies.on_maps import MapStrategy
from runners.strategies.support.mixtures import class_mixtures
from runners.strategies.view import GradientFactors
from runners.tasks.segmentation import MapLearner

if TYPE_CHECKING:
    from runners.features.round import Makers, Round


_MAPS: Final = 64
"""Number of predicted maps held at once."""


def makers(round_: Round, strategy: Strategy, members: list[Any], _disclose: object) -> Makers:
    """Return a function per feature that segmentation offers; see `View` for what they compute.

    Masks are never disclosed, so there is no oracle strategy.
    """
    learner, regions = cast(MapLearner, round_.fitted.learner), round_.regions
    unlabelled, labelled = round_.inputs.unlabelled, round_.inputs.labelled
    if regions is not None:
        some = regions.images(regions.unlabelled)
        return {
            "embeddings": lambda: regions.embeddings(learner, regions.unlabelled),
            "labelled_embeddings": lambda: regions.embeddings(learner, regions.labelled),
            "gradient_factors": lambda: regions.gradients(learner),
            "expected_costs": lambda: expected_costs(round_, learner, regions.unlabelled, regions.division),
            "class_mixtures": lambda: regions.mixtures(learner, regions.unlabelled),
            "labelled_class_mixtures": lambda: regions.mixtures(learner, regions.labelled),
            "map_scores": lambda: regions.scores(_scoring(strategy), _draws([learner], some), some),
            "mc_map_scores": lambda: regions.scores(_scoring(strategy), _under_dropout(round_, strategy, some), some),
            "member_map_scores": lambda: regions.scores(_scoring(strategy), _draws(members, some), some),
            "flip_map_scores": lambda: regions.scores(_scoring(strategy), _with_mirrored(learner, some), some),
        }
    shown = round_.inputs.images
    whole = Division(Units.images(shown.train_size, shown.height * shown.width))
    return {
        "embeddings": lambda: learner.embeddings(unlabelled),
        "labelled_embeddings": lambda: learner.embeddings(labelled),
        "gradient_factors": lambda: gradients(learner, unlabelled),
        "images": lambda: round_.resident.images(unlabelled),
        "labelled_images": lambda: round_.resident.images(labelled),
        "expected_costs": lambda: expected_costs(round_, learner, unlabelled, whole),
        "class_mixtures": lambda: image_mixtures(learner, unlabelled),
        "labelled_class_mixtures": lambda: image_mixtures(learner, labelled),
        "map_scores": lambda: map_scores(strategy, unlabelled, [learner]),
        "mc_map_scores": lambda: _scores(strategy, _under_dropout(round_, strategy, unlabelled)),
        "member_map_scores": lambda: map_scores(strategy, unlabelled, members),
        "flip_map_scores": lambda: _scores(strategy, _with_mirrored(learner, unlabelled)),
    }


def map_scores(strategy: Strategy, indices: Indices, draws: list[MapLearner]) -> Tensor:
    """Return the strategy's score of each image, shape (m,), from the maps of all draws of the network."""
    return _scores(strategy, _draws(draws, indices))


def _draws(draws: list[MapLearner], indices: Indices) -> Iterator[Tensor]:
    """Yield probabilities of a few images at a time, shape (b, draws, k, height, width)."""
    return (torch.stack([_probabilities(maps) for maps in several], 1) for several in _side_by_side(draws, indices))


def _under_dropout(round_: Round, strategy: Strategy, indices: Indices) -> Iterator[Tensor]:
    """Yield probabilities as `_draws`, of one network under dropout masks (Gal & Ghahramani 2016).

    Each mask is the same for all images.
    """
    learner, how = cast(MapLearner, round_.fitted.learner), strategy.estimation
    generator = torch.Generator().manual_seed(round_.seed("mc-dropout"))
    width = learner.net.head.in_channels
    p = learner.net.dropout.p or how.dropout
    masks = ((torch.rand(how.samples, width, generator=generator) >= p).float() / (1 - p)).to(round_.resident.device)

    with torch.no_grad():
        for _, maps in learner.passes(indices):
            drawn = []
            for mask in masks:  # channels are dropped before the head, so the body runs once
                logits = learner.net.head(maps.features.float() * mask[:, None, None])
                drawn.append(
                    F.interpolate(logits, maps.logits.shape[2:], mode="bilinear", align_corners=False).softmax(1)
                )
            yield torch.stack(drawn, 1)


def _scoring(strategy: Strategy) -> MapStrategy:
    if not isinstance(strategy, MapStrategy):
        raise TypeError(f"{type(strategy).__name__} declares scores of maps, so it must be a MapStrategy")
    return strategy


def _scores(strategy: Strategy, samples: Iterator[Tensor]) -> Tensor:
    scoring = _scoring(strategy)
    with torch.no_grad():
        return torch.cat([scoring.score_maps(part) for part in samples])


def _side_by_side(draws: list[MapLearner], indices: Indices) -> Iterator[list[Tensor]]:
    for several in zip(*(learner.passes(indices) for learner in draws), strict=True):
        yield [maps.logits for _, maps in several]


def _with_mirrored(learner: MapLearner, indices: Indices) -> Iterator[Tensor]:
    for (_, maps), (_, turned) in zip(learner.passes(indices), learner.passes(indices, mirrored=True), strict=True):
        yield torch.stack([_probabilities(maps.logits), _probabilities(turned.logits).flip(3)], 1)


def _probabilities(logits: Tensor) -> Tensor:
    return logits.float().softmax(1)


def expected_costs(round_: Round, learner: MapLearner, units: Indices, division: Division) -> Tensor:
    """Return expected costs, shape (m,), float32; see `View.expected_costs`."""

    def predicted(images: Indices) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for start in range(0, len(images), _MAPS):
            some = images[start : start + _MAPS]
            yield from zip(some.tolist(), learner.labels(some), strict=True)

    costs = expected_cost(round_.protocol.labelling, division, units, predicted)
    return torch.from_numpy(costs.astype(np.float32)).to(learner.device)


def image_mixtures(learner: MapLearner, indices: Indices) -> Tensor:
    """Return class-wise mixtures of whole images, shape (m, k, k); see `View.class_mixtures`."""
    parts = [torch.empty(0, learner.net.head.out_channels, learner.net.head.out_channels, device=learner.device)]
    for _, maps in learner.passes(indices):
        p = maps.logits.float().softmax(1)
        parts.append(
            class_mixtures(p, torch.arange(len(p), device=p.device)[:, None, None].expand(-1, *p.shape[2:]), len(p))
        )
    return torch.cat(parts)


def gradients(learner: MapLearner, indices: Indices) -> GradientFactors:
    """Return the gradient of each image's mean cross-entropy with respect to the head's weights.

    Targets are the predicted classes. A sum over pixels does not factorise, so residuals are ones, (m, 1), and
    embeddings are the flattened gradients, (m, classes * d). If the head works below the image's resolution,
    probabilities are averaged down to it.
    """
    parts = [_gradient(maps.logits.float().softmax(1), maps.features.float()) for _, maps in learner.passes(indices)]
    flat = torch.cat(parts)
    return GradientFactors(flat.new_ones(len(flat), 1), flat)


def _gradient(p: Tensor, at: Tensor) -> Tensor:
    residuals = p - torch.zeros_like(p).scatter_(1, p.argmax(1, keepdim=True), 1)
    if residuals.shape[2:] != at.shape[2:]:
        residuals = F.adaptive_avg_pool2d(residuals, (at.shape[2], at.shape[3]))
    return torch.einsum("nkhw,ndhw->nkd", residuals, at).flatten(1) / (at.shape[2] * at.shape[3])
