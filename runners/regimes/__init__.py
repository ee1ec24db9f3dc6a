"""Training recipes: what is learned from the labels owned so far.

Every round begins with the seed's own weights, or, where the protocol declares `regime.start = "warm"`, with those that the round
before was evaluated with (of averaged weights the average; BatchNorm statistics among them). Optimizer, schedule and averages are
built anew in either case. Ensemble members and classifiers that strategies have retrained always begin with weights of their own.
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
    """Train once, from the seed's initial weights or from `before`, on the device where the images are.

    Weights, BatchNorm statistics, optimizer and schedule are built anew; nothing but `before` carries over from an
    earlier round. Initial weights come from the seed's `model` stream and are the same every round;
    batch order and augmentation come from the `batches` and `augmentation` streams of the round.
    In float32 on the CPU, equal calls at equal thread counts give equal bytes.

    Args:
        protocol: says regime, model, metric and root seed.
        inputs: what may be trained on.
        seed: the run's seed.
        round_: number of the round, from 0.
        resident: the run's images on the device.
        before: what the round before ended with, of a warm start.

    Raises:
        InputError: the model or the augmentation does not suit the images.
        Diverged: the weights are not finite.
        ValueError: the recipe is still to be tuned.
    """
    if protocol.regime.tuning is not None:
        raise ValueError("fit trains one recipe: give it the protocol with a setting, see Protocol.with_setting")
    return train(_objective, protocol, inputs, seed, round_, resident, before)


def refuse_unknown_method(protocol: Protocol) -> None:
    """Raise InputError if the task has no such method."""
    known = ["supervised", *SEMI[protocol.task]]
    if protocol.regime.method not in known:
        raise InputError(
            unknown_name(f"protocol {protocol.name}: regime.method, for {protocol.task}", protocol.regime.method, known)
        )


def _objective(now: Round) -> Objective:
    if now.regime.semi is None:
        return SUPERVISED[now.protocol.task](now)
    refuse_unknown_method(now.protocol)
    return SEMI[now.protocol.task][now.regime.method](now, now.regime.semi)
