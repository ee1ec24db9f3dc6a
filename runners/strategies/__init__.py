"""Query strategies: how a run chooses which images to label next.

A strategy is a class with `select(view, n, rng)`, which returns n members of `view.unlabelled`. Derive from `Strategy`,
list what you need from the view in `needs`, and let `top` choose the highest scores with ties broken at random:

    class Entropy(Strategy):
        needs = ("probabilities",)

        def select(self, view, n, rng):
            p = view.probabilities
            return top(view, torch.special.entr(p).sum(1), n, rng)

Run it with `beatrandom run study.toml --strategy my_file.py:Entropy`. `STRATEGIES` maps registered names to classes.
"""

from __future__ import annotations

from typing import Final

from runners.strategies.alfa_mix import AlfaMix
from runners.strategies.badge import Badge
from runners.strategies.base import Context, Estimation, Strategy, top
from runners.strategies.baseline import BalancedRandom, Random
from runners.strategies.batchbald import BatchBald
from runners.strategies.cluster_margin import ClusterMargin
from runners.strategies.contextual_diversity import ContextualDiversity
from runners.strategies.core_set import CoreSet
from runners.strategies.dropout_and_ensembles import (
    Bald,
    DropoutEntropy,
    DropoutVariationRatio,
    EnsembleEntropy,
    EnsembleVariationRatio,
    PowerBald,
)
from runners.strategies.facility_location import FacilityLocation, MaxHerding
from runners.strategies.graph_network import CoreGCN, UncertainGCN
from runners.strategies.greedy_oracle import GreedyOracle
from runners.strategies.learning_loss import LearningLoss
from runners.strategies.probcover import ProbCover
from runners.strategies.robust_core_set import RobustCoreSet
from runners.strategies.segmentation_scores import EquAL, ForegroundRandom
from runners.strategies.typiclust import TypiClust
from runners.strategies.uncertainty import Entropy, LeastConfidence, Margin
from runners.strategies.vaal import VAAL
from runners.strategies.view import View

STRATEGIES: Final[dict[str, type[Strategy]]] = {
    "random": Random,
    "random-balanced": BalancedRandom,
    "least-confidence": LeastConfidence,
    "margin": Margin,
    "entropy": Entropy,
    "dropout-entropy": DropoutEntropy,
    "bald": Bald,
    "variation-ratio": DropoutVariationRatio,
    "power-bald": PowerBald,
    "batch-bald": BatchBald,
    "ensemble-entropy": EnsembleEntropy,
    "ensemble-variation-ratio": EnsembleVariationRatio,
    "core-set": CoreSet,
    "robust-core-set": RobustCoreSet,
    "badge": Badge,
    "typiclust": TypiClust,
    "probcover": ProbCover,
    "cluster-margin": ClusterMargin,
    "cdal": ContextualDiversity,
    "alfa-mix": AlfaMix,
    "facility-location": FacilityLocation,
    "max-herding": MaxHerding,
    "learning-loss": LearningLoss,
    "vaal": VAAL,
    "uncertain-gcn": UncertainGCN,
    "core-gcn": CoreGCN,
    "equal": EquAL,
    "random-foreground": ForegroundRandom,
    "oracle": GreedyOracle,
}

__all__ = ["STRATEGIES", "Context", "Estimation", "Strategy", "View", "top"]
