"""Build the view of a round for a strategy, and let the strategy train its own part."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protocol.draws.seeds import derive
from protocol.draws.splits import Indices
from protocol.errors import Fault, unknown_name
from runners.features import segmentation
from runners.features.classification import makers
from runners.features.round import Round
from runners.guard.errors import StrategyError
from runners.models.learner import TrainedNetwork
from runners.models.resident import as_float
from runners.regimes import Learner, fit
from runners.regimes.training import own_randomness
from runners.strategies import Context, Strategy, View


def ensemble(round_: Round, strategy: Strategy) -> list[TrainedNetwork[Any]]:
    """Return the evaluated classifier and the further members that the strategy's ensemble needs, if any.

    The further members are trained by the protocol's recipe on the same labels, each from seed streams that the
    `estimator` stream gives. They share no generator with the evaluated classifier, which stays unchanged.
    """
    others = strategy.estimation.members - 1 if {"members", "member_map_scores"} & set(strategy.needs) else 0
    seeds = [
        derive(round_.protocol.root_seed, "estimator", round_.replicate, "member", m) for m in range(1, others + 1)
    ]
    trained = [fit(round_.protocol, round_.inputs, seed, round_.number, round_.resident).learner for seed in seeds]
    return [round_.fitted.learner, *trained]


def build_view(
    round_: Round, strategy: Strategy, members: list[TrainedNetwork[Any]], disclose: Callable[[], NDArray[np.integer]]
) -> View:
    """Build the view with the features that the strategy needs.

    Args:
        round_: the round after training.
        strategy: strategy that will see the view.
        members: members of the ensemble, as returned by `ensemble`.
        disclose: function that asks the oracle for the labels of the unlabelled images. It is refused unless the run
            belongs to the oracle strategy; labels are not kept.

    Raises:
        StrategyError: the task does not offer a need of the strategy.
    """
    inputs = round_.inputs
    made = MAKERS[round_.protocol.task](round_, strategy, members, disclose)
    if unknown := [need for need in strategy.needs if need not in made]:
        raise StrategyError(unknown_name("needs of the strategy", need, list(made)) for need in unknown)
    offered = {need: made[need]() for need in strategy.needs}
    if regions := round_.regions:
        counts = regions.counts(inputs.labelled, inputs.labels, len(inputs.images.classes))
        own = (regions.unlabelled.copy(), regions.labelled.copy(), counts)
        return View(*own, len(inputs.images.classes), round_.number, offered, regions.division)
    return View(
        inputs.unlabelled.copy(),
        inputs.labelled.copy(),
        inputs.labels.copy(),
        len(inputs.images.classes),
        round_.number,
        offered,
    )


MAKERS: Final = {"classification": makers, "segmentation": segmentation.makers}
"""Functions that return the makers of all features, by task."""


def prepare(round_: Round, strategy: Strategy, view: View) -> None:
    """Let the strategy train its own part; changes of its copy of the network have no effect elsewhere."""
    seed = round_.seed("prepare")
    learner = round_.fitted.learner
    context = Context(
        view,
        round_.resident.device,
        lambda: copy.deepcopy(learner.net).eval(),
        lambda images: learner.scaling(as_float(images)),
        lambda indices, labels: retrained(round_, indices, labels),
    )
    with own_randomness(seed, round_.resident.device):
        strategy.prepare(context, torch.Generator().manual_seed(seed))


def retrained(round_: Round, indices: Indices, labels: NDArray[np.int64]) -> Callable[[Indices], Tensor]:
    """Train by the protocol's recipe on the labelled images and further ones.

    All calls of a round start from the same weights and batch order, drawn from the `estimator` stream. The evaluated
    classifier stays unchanged. Test images cannot be predicted.

    Args:
        round_: the round after training.
        indices: further members of the unlabelled pool, shape (m,).
        labels: classes to train them with, shape (m,), such as guesses of the strategy.

    Returns:
        Function from pool indices (j,) to probabilities (j, k).
    """
    inputs = round_.inputs
    more = replace(
        inputs,
        labelled=np.concatenate([inputs.labelled, indices]),
        labels=np.concatenate([inputs.labels, labels]),
        unlabelled=np.setdiff1d(inputs.unlabelled, indices),
    )
    learner = cast(
        Learner, fit(round_.protocol, more, round_.seed("retrained"), round_.number, round_.resident).learner
    )

    def predict(images: Indices) -> Tensor:
        if unknown := np.setdiff1d(images, inputs.pool).tolist():
            raise StrategyError(
                Fault("prediction of a retrained classifier", "members of the pool", f"not in the pool: {unknown[:5]}")
            )
        return learner.predict(images).probabilities

    return predict
