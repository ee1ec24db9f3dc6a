"""Scores of predictions for segmentation: computed per pixel, then aggregated per image or region."""

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
"""Largest number of probabilities passed to a score at once (32 MiB)."""


class MapStrategy(Strategy):
    """Strategy for segmentation that scores pixels from draws of the predicted map.

    Maps are never kept for all images.
    """

    @abstractmethod
    def score_pixels(self, samples: Tensor) -> Tensor:
        """Return scores of pixels, shape (b, height, width).

        Args:
            samples: probabilities of s draws of the classifier, shape (b, s, k, height, width); the strategy's need
                sets s.
        """

    def score_maps(self, samples: Tensor) -> Tensor:
        """Return scores of images, shape (b,), aggregated over pixels."""
        return self.aggregation(self.score_pixels(samples), samples)

    def score_regions(self, samples: Tensor, places: Tensor, count: int) -> Tensor:
        """Return scores of regions, shape (count,).

        `places`, (b, height, width), is the region of every pixel.
        """
        return self.aggregation.by_region(self.score_pixels(samples), samples, places, count)


class OnMaps(MapStrategy):
    """Strategy that scores predictions, applied to the prediction of every pixel.

    An image's score is the mean over its pixels, unless `inner.aggregation` sets another aggregation. Void pixels of
    unlabelled images are unknown, so they count.

    Args:
        inner: a strategy with `score` of probabilities (n, k) or (n, s, k) and `choose(view, scores, n, rng)`.
        need: the need that gives its scores.
        several: whether it scores several draws of the classifier together, (n, s, k).
    """

    def __init__(self, inner: Any, need: Need, several: bool) -> None:
        self.inner, self._need, self._several = inner, need, several
        self.estimation = inner.estimation
        self.aggregation = inner.aggregation
        self.needs = with_costs((need,), inner.aggregation)  # type: ignore[misc]  # per wrapped object, not per class
        self.least = inner.least  # type: ignore[misc]  # as above

    def score_pixels(self, samples: Tensor) -> Tensor:
        """Return the inner strategy's scores, shape (b, height, width); of one draw if `several` is false."""
        score = self.inner.score if self._several else lambda draws: self.inner.score(draws[:, 0])
        return by_pixel(score, samples)

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the inner strategy's selection by its scores."""
        chosen: Indices = self.inner.choose(view, selection_values(self, view, view._tensor(self._need)), n, rng)
        return chosen


def with_costs(needs: tuple[Need, ...], aggregation: Aggregation) -> tuple[Need, ...]:
    """Return the needs, with expected costs if the aggregation divides by cost."""
    return (*needs, "expected_costs") if aggregation.per_cost else needs


def selection_values(strategy: Strategy, view: View, scores: Tensor) -> Tensor:
    """Return the values to select by, shape (u,): the scores, or the benefit per cost.

    The benefit is the sum of the scores over pixels.

    Args:
        strategy: strategy whose aggregation says which.
        view: the round's view, with costs if needed.
        scores: means over the pixels of each image or region, shape (u,), at least `strategy.least`.
    """
    if not strategy.aggregation.per_cost:
        return scores
    benefit = (scores.double() - strategy.least).clamp(min=0)
    if view.division is not None:  # whole images all have the same size
        benefit = benefit * torch.from_numpy(view.division.units.pixels[view.unlabelled]).to(benefit.device)
    return benefit / view.expected_costs.double()


def by_pixel(score: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """Return scores (b, height, width) by a function of probabilities (n, s, k).

    Samples have shape (b, s, k, height, width).
    """
    flat = samples.permute(0, 3, 4, 1, 2).flatten(0, 2)  # (pixels, s, k)
    rows = max(1, ENTRIES // (samples.shape[1] * samples.shape[2]))
    scores = torch.cat([score(part) for part in flat.split(rows)])  # type: ignore[no-untyped-call]
    return scores.view(len(samples), *samples.shape[3:])


FORMS: Final[dict[tuple[Need, ...], Callable[[Any], OnMaps]]] = {
    ("probabilities",): lambda inner: OnMaps(inner, "map_scores", several=False),
    ("mc_samples",): lambda inner: OnMaps(inner, "mc_map_scores", several=True),
    ("members",): lambda inner: OnMaps(inner, "member_map_scores", several=True),
}
"""Form on maps by the needs of the strategy on whole images."""


def on_maps(strategy: Strategy) -> Strategy | None:
    """Return the form of a strategy that works on maps.

    It is `None` if the strategy has no such form and does not score predictions one by one.
    """
    if isinstance(strategy, ContextualDiversity):
        return ContextualMixtures()
    form = FORMS.get(tuple(strategy.needs))
    return form(strategy) if form and hasattr(strategy, "score") and hasattr(strategy, "choose") else None
