"""Query strategies: the registry, and strategies from a user's own file."""

from __future__ import annotations

from typing import Final

from runners.strategies.base import Context, Estimation, Strategy, checked, top
from runners.strategies.baseline import Random
from runners.strategies.coreset import CoreSet
from runners.strategies.uncertainty import Entropy, LeastConfidence, Margin
from runners.strategies.view import NEEDS, ClassifierHead, GradientFactors, Need, StrategyError, View

STRATEGIES: Final[dict[str, type[Strategy]]] = {
    "random": Random,
    "least-confidence": LeastConfidence,
    "margin": Margin,
    "entropy": Entropy,
    "core-set": CoreSet,
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
