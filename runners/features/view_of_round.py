"""Build the view of a round for a strategy."""

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
    """The compared classifier and as many others as the strategy's ensemble lacks; just the classifier where none is needed.

    The others are trained by the protocol's own recipe on the same labels, each from the seed streams of a replicate
    number that the `estimator` stream gives; they share no generator with the compared classifier, which stays as it is.
    """
    others = strategy.estimation.members - 1 if {"members", "member_map_scores"} & set(strategy.needs) else 0
    seeds = [
        derive(round_.protocol.root_seed, "estimator", round_.replicate, "member", m) for m in range(1, others + 1)
    ]
    trained = [fit(round_.protocol, round_.inputs, seed, round_.number, round_.resident).learner for seed in seeds]
    return [round_.fitted.learner, *trained]


def look(
    round_: Round, strategy: Strategy, members: list[TrainedNetwork[Any]], disclose: Callable[[], NDArray[np.integer]]
) -> View:
    """The round as the strategy may see it.

    Args:
        members: as `ensemble` returned them.
        disclose: asks the seller for the labels of the unlabelled; refused unless the run is the upper line's, and kept nowhere.
    """
    inputs = round_.inputs
    made = LOOKS[round_.protocol.task](round_, strategy, members, disclose)
    if strangers := [need for need in strategy.needs if need not in made]:
        raise StrategyError(unknown_name("needs of the strategy", need, list(made)) for need in strangers)
    offered = {need: made[need]() for need in strategy.needs}
    if regions := round_.regions:
        counts = regions.counts(inputs.labelled, inputs.labels, len(inputs.images.classes))
        own = (regions.unlabelled.copy(), regions.owned.copy(), counts)
        return View(*own, len(inputs.images.classes), round_.number, offered, regions.division)
    return View(
        inputs.unlabelled.copy(),
        inputs.labelled.copy(),
        inputs.labels.copy(),
        len(inputs.images.classes),
        round_.number,
        offered,
    )


LOOKS: Final = {"classification": makers, "segmentation": segmentation.makers}
"""What strategies may need, by task."""


def prepare(round_: Round, strategy: Strategy, view: View) -> None:
    """Let the strategy train its own part; what it does to its copy of the network reaches nothing else."""
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
    """Train by the protocol's recipe on the owned labels and some more; returns what predicts (m, k) probabilities of pool indices.

    All calls of a round start from the same weights and batch order, drawn from the `estimator` stream. Nothing of it
    reaches the compared classifier. Test images have no predictions here.

    Args:
        indices, labels: (m,) members of the unlabelled pool and the classes to train them as; a strategy's own guess, say.
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

    def predict(wanted: Indices) -> Tensor:
        if strangers := np.setdiff1d(wanted, inputs.pool).tolist():
            raise StrategyError(
                Fault(
                    "prediction of a retrained classifier", "members of the pool", f"not in the pool: {strangers[:5]}"
                )
            )
        return learner.predict(wanted).probabilities

    return predict
