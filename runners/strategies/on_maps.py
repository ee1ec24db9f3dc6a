"""Scores of predictions on segmentation: taken pixel by pixel, then made one number an image or a region."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from protocol.draws.splits import Indices
from runners.strategies.base import Strategy
from runners.strategies.contextual_diversity import ContextualDiversity, ContextualMixtures
from runners.strategies.support.aggregation import Aggregation
from runners.strategies.view import Need, View

ENTRIES: Final = 2**23
"""Probabilities that a score is given at once (32 MiB)."""


class MapStrategy(Strategy):
    """A strategy for segmentation that scores pixels from draws of the predicted map; such maps are never kept for all images."""

    @abstractmethod
    def score_pixels(self, samples: Tensor) -> Tensor:
        """(b, height, width) scores of pixels.

        Args:
            samples: (b, s, k, height, width) probabilities of s draws of the classifier, as many as the strategy's need says.
        """

    def score_maps(self, samples: Tensor) -> Tensor:
        """(b,) scores of images: their pixels', aggregated."""
        return self.aggregation(self.score_pixels(samples), samples)

    def score_regions(self, samples: Tensor, places: Tensor, count: int) -> Tensor:
        """(count,) scores of regions: their pixels', aggregated; places (b, height, width) say which pixel is of which."""
        return self.aggregation.by_region(self.score_pixels(samples), samples, places, count)


class OnMaps(MapStrategy):
    """A strategy that scores predictions, applied to every pixel's; an image's score is the mean over its pixels, or what `inner.aggregation` says.

    Void pixels of the pool are not known before they are bought, so they count.

    Args:
        inner: a strategy with `score` of (n, k) or (n, s, k) probabilities and `choose(view, scores, n, rng)`.
        need: where its probabilities come from.
        several: whether it scores several draws of the classifier together, (n, s, k).
    """

    def __init__(self, inner: Any, need: Need, several: bool) -> None:
        self.inner, self._need, self._several = inner, need, several
        self.estimation = inner.estimation
        self.aggregation = inner.aggregation
        self.needs = with_costs((need,), inner.aggregation)  # type: ignore[misc]  # per wrapped object, not per class
        self.least = inner.least  # type: ignore[misc]  # as above

    def score_pixels(self, samples: Tensor) -> Tensor:
        """(b, height, width) the inner strategy's scores; of one draw if `several` is false."""
        score = self.inner.score if self._several else lambda draws: self.inner.score(draws[:, 0])
        return by_pixel(score, samples)

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """As the inner strategy chooses by its scores."""
        chosen: Indices = self.inner.choose(view, worth(self, view, view._tensor(self._need)), n, rng)
        return chosen


def with_costs(needs: tuple[Need, ...], aggregation: Aggregation) -> tuple[Need, ...]:
    """The needs, and expected costs where scores are weighed by them."""
    return (*needs, "expected_costs") if aggregation.per_cost else needs


def worth(strategy: Strategy, view: View, scores: Tensor) -> Tensor:
    """(u,) what to choose by: the scores, or where the strategy weighs costs, their sum over pixels for one unit of the budget.

    Args:
        scores: (u,) means over the pixels of each image or region, at least `strategy.least`.
    """
    if not strategy.aggregation.per_cost:
        return scores
    benefit = (scores.double() - strategy.least).clamp(min=0)
    if view.division is not None:  # whole images are all of one size
        benefit = benefit * torch.from_numpy(view.division.units.pixels[view.unlabelled]).to(benefit.device)
    return benefit / view.expected_costs.double()


def by_pixel(score: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """(b, height, width) scores by a function of (n, s, k) probabilities; samples (b, s, k, height, width)."""
    flat = samples.permute(0, 3, 4, 1, 2).flatten(0, 2)  # (pixels, s, k)
    rows = max(1, ENTRIES // (samples.shape[1] * samples.shape[2]))
    scores = torch.cat([score(part) for part in flat.split(rows)])  # type: ignore[no-untyped-call]
    return scores.view(len(samples), *samples.shape[3:])


FORMS: Final[dict[tuple[Need, ...], Callable[[Any], OnMaps]]] = {
    ("probabilities",): lambda inner: OnMaps(inner, "map_scores", several=False),
    ("mc_samples",): lambda inner: OnMaps(inner, "mc_map_scores", several=True),
    ("members",): lambda inner: OnMaps(inner, "member_map_scores", several=True),
}
"""By what the strategy needs for whole images."""


def on_maps(strategy: Strategy) -> Strategy | None:
    """The form of a strategy that works on maps; None if it neither has one of its own nor scores predictions one by one."""
    if isinstance(strategy, ContextualDiversity):
        return ContextualMixtures()
    form = FORMS.get(tuple(strategy.needs))
    return form(strategy) if form and hasattr(strategy, "score") and hasattr(strategy, "choose") else None
