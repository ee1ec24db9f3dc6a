"""Query strategies: the registry, and strategies from a user's own file."""

from __future__ import annotations

from typing import Final

from runners.strategies.alfa_mix import AlfaMix
from runners.strategies.badge import Badge
from runners.strategies.base import Context, Estimation, Strategy, checked, top
from runners.strategies.baseline import BalancedRandom, Random
from runners.strategies.batchbald import BatchBald
from runners.strategies.bayesian import (
    Bald,
    DropoutEntropy,
    DropoutVariationRatio,
    EnsembleEntropy,
    EnsembleVariationRatio,
    PowerBald,
)
from runners.strategies.cluster_margin import ClusterMargin
from runners.strategies.contextual import ContextualDiversity
from runners.strategies.coreset import CoreSet
from runners.strategies.dense import EquAL, ForegroundRandom
from runners.strategies.facility import FacilityLocation, MaxHerding
from runners.strategies.graph import CoreGCN, UncertainGCN
from runners.strategies.learning_loss import LearningLoss
from runners.strategies.probcover import ProbCover
from runners.strategies.robust import RobustCoreSet
from runners.strategies.typiclust import TypiClust
from runners.strategies.uncertainty import Entropy, LeastConfidence, Margin
from runners.strategies.upper import GreedyOracle
from runners.strategies.vaal import VAAL
from runners.strategies.view import NEEDS, ClassifierHead, GradientFactors, Need, StrategyError, View

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
