"""Uncertainty over several classifiers: dropout samples and ensembles.

Scores take probabilities of shape (u, s, k): u images, s draws of the classifier, k classes. Images with higher scores
are selected first. For segmentation, pixels are scored; `top_share`, `boundary_weight` and `per_cost` say how the
scores of pixels become one score (`Aggregation`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from protocol.draws.splits import Indices
from runners.strategies.base import Estimation, Strategy, top
from runners.strategies.support.aggregation import Aggregation
from runners.strategies.uncertainty import entropy
from runners.strategies.view import Need, View


def mutual_information(samples: Tensor) -> Tensor:
    """Return BALD, H(mean p) - mean H(p) in nats, shape (u,), in [0, log k] (Houlsby 2011, equation 2)."""
    return (entropy(samples.mean(1)) - entropy(samples).mean(1)).clamp(min=0)


def variation_ratio(samples: Tensor) -> Tensor:
    """Return the share of draws that do not vote for the majority's class, shape (u,), in [0, 1 - 1/k].

    A draw votes for its most probable class, of equals the first (Gal 2016, section 3.3.1).
    """
    votes = torch.nn.functional.one_hot(samples.argmax(2), samples.shape[2]).sum(1)
    return 1 - votes.amax(1).float() / samples.shape[1]


class _Dropout(Strategy):
    """Select the n images with the highest `score` under dropout; break ties at random."""

    needs: ClassVar[tuple[Need, ...]] = ("mc_samples",)
    cost = "O(u s k)"

    def __init__(
        self,
        samples: int = 20,
        dropout: float = 0.5,
        top_share: float = 1.0,
        boundary_weight: float = 0.0,
        per_cost: bool = False,
    ) -> None:
        self.estimation = Estimation(samples=samples, dropout=dropout)
        self.aggregation = Aggregation(top_share, boundary_weight, per_cost)

    @staticmethod
    @abstractmethod
    def score(samples: Tensor) -> Tensor:
        """Return the uncertainty, shape (u,), of probabilities of shape (u, s, k)."""

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the n most uncertain images."""
        return self.choose(view, self.score(view.mc_samples), n, rng)

    def choose(self, view: View, scores: Tensor, n: int, rng: np.random.Generator) -> Indices:
        """Return the images with the n highest scores; break ties at random."""
        return top(view, scores, n, rng)


class DropoutEntropy(_Dropout):
    """Select by the entropy of the mean prediction under dropout, in nats.

    Args:
        samples: number of dropout masks, >= 1.
        dropout: share of the last layer's input to drop, in (0, 1), if the network has no dropout of its own.
        top_share, boundary_weight, per_cost: how scores of pixels become one score (segmentation only), see
            `Aggregation`.
    """

    order_free = True
    paper = "Gal, Islam & Ghahramani 2017, arXiv 1703.02910"

    @staticmethod
    def score(samples: Tensor) -> Tensor:
        """Return H(mean p)."""
        return entropy(samples.mean(1))


class Bald(_Dropout):
    """Select by BALD: mutual information of an image's label and the classifier's weights.

    It is estimated under dropout, in nats.

    Args:
        samples: number of dropout masks, >= 1.
        dropout: share of the last layer's input to drop, in (0, 1), if the network has no dropout of its own.
        top_share, boundary_weight, per_cost: how scores of pixels become one score (segmentation only), see
            `Aggregation`.
    """

    order_free = True
    paper = "Houlsby et al. 2011, arXiv 1112.5745; Gal 2017"

    @staticmethod
    def score(samples: Tensor) -> Tensor:
        """Return H(mean p) - mean H(p)."""
        return mutual_information(samples)


class DropoutVariationRatio(_Dropout):
    """Select by the variation ratio: the share of dropout draws that disagree with the majority's class.

    Args:
        samples: number of dropout masks, >= 1.
        dropout: share of the last layer's input to drop, in (0, 1), if the network has no dropout of its own.
        top_share, boundary_weight, per_cost: how scores of pixels become one score (segmentation only), see
            `Aggregation`.
    """

    paper = "Gal, Islam & Ghahramani 2017, arXiv 1703.02910"

    @staticmethod
    def score(samples: Tensor) -> Tensor:
        """Return 1 - votes of the majority / s."""
        return variation_ratio(samples)


class PowerBald(_Dropout):
    """Draw n images without replacement with probability proportional to BALD ** coldness.

    By the Gumbel-top-k identity these are the n largest of coldness · log BALD + Gumbel noise.

    Args:
        samples: number of dropout masks, >= 1.
        dropout: share of the last layer's input to drop, in (0, 1), if the network has no dropout of its own.
        coldness: exponent, >= 0; 0 is uniform, a large value approaches bald.
    """

    paper = "Kirsch et al. 2023, arXiv 2106.12059"

    def __init__(self, samples: int = 20, dropout: float = 0.5, coldness: float = 1.0) -> None:
        super().__init__(samples, dropout)
        self.coldness = coldness

    @staticmethod
    def score(samples: Tensor) -> Tensor:
        """Return BALD."""
        return mutual_information(samples)

    def choose(self, view: View, scores: Tensor, n: int, rng: np.random.Generator) -> Indices:
        """Return one draw of n images."""
        scores = scores.double().clamp(min=torch.finfo(torch.float64).tiny).log()
        noise = torch.from_numpy(rng.gumbel(size=len(scores))).to(scores.device)
        return top(view, self.coldness * scores + noise, n, rng)


class _Ensemble(Strategy):
    """Select the n images with the highest `score` under an ensemble; break ties at random."""

    needs: ClassVar[tuple[Need, ...]] = ("members",)
    paper = "Beluch et al. 2018, CVPR; Mittal et al. 2019, arXiv 1912.05361"
    cost = "O(u m k) and m - 1 trainings"

    def __init__(
        self, members: int = 5, top_share: float = 1.0, boundary_weight: float = 0.0, per_cost: bool = False
    ) -> None:
        self.estimation = Estimation(members=members)
        self.aggregation = Aggregation(top_share, boundary_weight, per_cost)

    @staticmethod
    @abstractmethod
    def score(members: Tensor) -> Tensor:
        """Return the uncertainty, shape (u,), of probabilities of shape (u, m, k)."""

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the n most uncertain images."""
        return self.choose(view, self.score(view.members), n, rng)

    def choose(self, view: View, scores: Tensor, n: int, rng: np.random.Generator) -> Indices:
        """Return the images with the n highest scores; break ties at random."""
        return top(view, scores, n, rng)


class EnsembleEntropy(_Ensemble):
    """Select by the entropy of an ensemble's mean prediction, in nats.

    Args:
        members: number of networks, >= 1, the evaluated one included; the others are trained by the same recipe.
        top_share, boundary_weight, per_cost: how scores of pixels become one score (segmentation only), see
            `Aggregation`.
    """

    order_free = True

    @staticmethod
    def score(members: Tensor) -> Tensor:
        """Return H(mean p)."""
        return entropy(members.mean(1))


class EnsembleVariationRatio(_Ensemble):
    """Select by ENS-varR: the share of an ensemble's members that disagree with the majority's class.

    Args:
        members: number of networks, >= 1, the evaluated one included; the others are trained by the same recipe.
        top_share, boundary_weight, per_cost: how scores of pixels become one score (segmentation only), see
            `Aggregation`.
    """

    @staticmethod
    def score(members: Tensor) -> Tensor:
        """Return 1 - votes of the majority / m."""
        return variation_ratio(members)
