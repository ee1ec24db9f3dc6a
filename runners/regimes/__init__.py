"""Training recipes: how a network is trained on the labels bought so far.

Every round starts from the seed's initial weights. If the protocol declares `regime.start = "warm"`, it starts from
the weights that the previous round was evaluated with, including BatchNorm statistics; for averaged weights this is
the average. Optimizer, schedule and averages start from scratch in both cases. Ensemble members, and classifiers that
a strategy retrains, always start from initial weights of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocol.errors import InputError, unknown_name
from protocol.spec.protocol import Protocol
from protocol.spec.recipe import Semi
from runners.models.learner import Learner, Predictions
from runners.models.resident import Resident
from runners.regimes.base import Diverged, EndState, Fit, FitInputs
from runners.regimes.methods import semi, semi_maps
from runners.regimes.methods.supervised import Supervised
from runners.regimes.methods.supervised_maps import SupervisedMaps
from runners.regimes.pretraining.bodies import prepare
from runners.regimes.solved import solve_head
from runners.regimes.training import Objective, Round, digest_of, train, untrained_learner

__all__ = [
    "METHODS",
    "Diverged",
    "EndState",
    "Fit",
    "FitInputs",
    "Learner",
    "Predictions",
    "Resident",
    "digest_of",
    "fit",
    "prepare",
    "refuse_unknown_method",
    "untrained_learner",
]

METHODS: Final = ("supervised", *semi.METHODS, *semi_maps.METHODS)
"""Learning methods by the name that `regime.method` gives."""

SUPERVISED: Final[dict[str, Callable[[Round], Objective]]] = {
    "classification": Supervised,
    "segmentation": SupervisedMaps,
}
SEMI: Final[dict[str, dict[str, Callable[[Round, Semi], Objective]]]] = {
    "classification": semi.METHODS,
    "segmentation": semi_maps.METHODS,
}
"""Semi-supervised methods by task and name."""


def fit(
    protocol: Protocol,
    inputs: FitInputs,
    seed: int,
    round_: int,
    resident: Resident,
    before: EndState | None = None,
) -> Fit:
    """Train one round, starting from the seed's initial weights or from `before`.

    Nothing except `before` carries over from an earlier round. Initial weights come from the seed's `model` stream
    and are the same in every round. Batch order and augmentation come from the round's `batches` and `augmentation`
    streams. In float32 on the CPU, equal calls with equal thread counts give equal bytes.

    Args:
        protocol: gives regime, model, metric and root seed.
        inputs: images and labels that may be trained on.
        seed: seed of the run.
        round_: number of the round, from 0.
        resident: the run's images on the device.
        before: end state of the previous round, for a warm start.

    Raises:
        InputError: the model or the augmentation does not suit the images.
        Diverged: the weights are not finite.
        ValueError: the protocol still has hyperparameters to tune.
    """
    if protocol.regime.tuning is not None:
        raise ValueError("fit trains one recipe: pass the protocol with a setting, see Protocol.with_setting")
    if protocol.regime.solver is not None:
        return solve_head(protocol, inputs, seed, resident)
    return train(_objective, protocol, inputs, seed, round_, resident, before)


def refuse_unknown_method(protocol: Protocol) -> None:
    """Raise InputError if the task has no such method."""
    methods = ["supervised", *SEMI[protocol.task]]
    if protocol.regime.method not in methods:
        raise InputError(
            unknown_name(
                f"protocol {protocol.name}: regime.method, for {protocol.task}", protocol.regime.method, methods
            )
        )


def _objective(now: Round) -> Objective:
    if now.regime.semi is None:
        return SUPERVISED[now.protocol.task](now)
    refuse_unknown_method(now.protocol)
    return SEMI[now.protocol.task][now.regime.method](now, now.regime.semi)
