"""Query strategies: the registry, and strategies from a user's own file."""

from __future__ import annotations

from typing import Final

from runners.guard.errors import StrategyError
from runners.strategies.alfa_mix import AlfaMix
from runners.strategies.badge import Badge
from runners.strategies.base import Context, Estimation, Strategy, checked, top
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
from runners.strategies.view import NEEDS, ClassifierHead, GradientFactors, Need, View

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

__all__ = [
    "NEEDS",
    "STRATEGIES",
    "ClassifierHead",
    "Context",
    "Estimation",
    "GradientFactors",
    "Need",
    "Strategy",
    "StrategyError",
    "View",
    "checked",
    "top",
]
