"""Training recipes: what is learned from the labels owned so far, always from scratch."""

from __future__ import annotations

from typing import Final

from protocol.spec import Protocol
from runners.regimes import semi
from runners.regimes.base import Diverged, Fit, FitInputs
from runners.regimes.learner import Learner, Predictions
from runners.regimes.resident import Resident
from runners.regimes.supervised import Supervised
from runners.regimes.training import Objective, Round, train

__all__ = ["METHODS", "Diverged", "Fit", "FitInputs", "Learner", "Predictions", "Resident", "fit"]

METHODS: Final = ("supervised", *semi.METHODS)
"""Learning methods by the name that `regime.method` gives."""


def fit(protocol: Protocol, inputs: FitInputs, replicate: int, round_: int, resident: Resident) -> Fit:
    """Train once, from the seed's initial weights, on the device where the images are.

    Weights, BatchNorm statistics, optimizer and schedule are built anew; nothing carries over from an
    earlier round. Initial weights come from the seed's `model` stream and are the same every round;
    batch order and augmentation come from the `batches` and `augmentation` streams of the round.
    In float32 on the CPU, equal calls at equal thread counts give equal bytes.

    Args:
        protocol: says regime, model, metric and root seed.
        inputs: what may be trained on.
        replicate: the run's seed.
        round_: number of the round, from 0.
        resident: the run's images on the device.

    Raises:
        InputError: the model or the augmentation does not suit the images.
        Diverged: the weights are not finite.
    """
    return train(_objective, protocol, inputs, (replicate, round_), resident)


def _objective(now: Round) -> Objective:
    return Supervised(now) if now.regime.semi is None else semi.METHODS[now.regime.method](now, now.regime.semi)
