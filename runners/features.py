"""What a strategy declared to need, computed once a round: in evaluation mode, without augmentation, on the run's device."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from protocol.errors import Fault, unknown_name
from protocol.seeds import derive
from protocol.spec import Protocol
from protocol.splits import Indices
from runners import map_features
from runners.regimes import Fit, FitInputs, Learner, Predictions, Resident, fit
from runners.regimes.learner import Trained
from runners.regimes.resident import as_float
from runners.regimes.training import own_randomness
from runners.region_features import Regions
from runners.strategies import ClassifierHead, Context, Estimation, GradientFactors, Need, Strategy, StrategyError, View
from runners.strategies.view import Feature

_LOGITS_AT_ONCE = 2**24
"""Bounds the logits of one chunk under all dropout masks (64 MiB)."""


Makers = dict[Need, Callable[[], Feature]]
"""What strategies may need, made when asked for."""


@dataclass(frozen=True, eq=False)
class Round:
    """One round after training: whose it is, what was trained on, and what came of it."""

    protocol: Protocol
    replicate: int
    number: int
    inputs: FitInputs
    fitted: Fit
    resident: Resident
    regions: Regions | None = None
    """What can be bought and what is owned; None where whole images are."""

    def seed(self, *keys: int | str) -> int:
        """A seed of the run's `estimator` stream in this round."""
        return derive(self.protocol.root_seed, "estimator", self.replicate, self.number, *keys)


def ensemble(round_: Round, strategy: Strategy) -> list[Trained[Any]]:
    """The compared classifier and as many others as the strategy's ensemble lacks; just the classifier where none is needed.

    The others are trained by the protocol's own recipe on the same labels, each from the seed streams of a replicate
    number that the `estimator` stream gives; they share no generator with the compared classifier, which stays as it is.
    """
    others = strategy.estimation.members - 1 if {"members", "member_map_scores"} & set(strategy.needs) else 0
    seeds = [derive(round_.protocol.root_seed, "estimator", round_.replicate, "member", m) for m in range(1, others + 1)]
    trained = [fit(round_.protocol, round_.inputs, seed, round_.number, round_.resident).learner for seed in seeds]
    return [round_.fitted.learner, *trained]


def look(round_: Round, strategy: Strategy, members: list[Trained[Any]], disclose: Callable[[], NDArray[np.integer]]) -> View:
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
    return View(inputs.unlabelled.copy(), inputs.labelled.copy(), inputs.labels.copy(), len(inputs.images.classes), round_.number, offered)


def makers(round_: Round, strategy: Strategy, members: list[Trained[Any]], disclose: Callable[[], NDArray[np.integer]]) -> Makers:
    """What classification offers strategies, made when asked for; see `View`."""
    unlabelled, owned = round_.inputs.unlabelled, round_.inputs.labelled
    learner = cast(Learner, round_.fitted.learner)
    of_pool, of_owned = _Once(learner, unlabelled), _Once(learner, owned)
    net = learner.net
    return {
        "probabilities": lambda: of_pool().probabilities,
        "embeddings": lambda: of_pool().embeddings,
        "labelled_embeddings": lambda: of_owned().embeddings,
        "labelled_probabilities": lambda: of_owned().probabilities,
        "gradient_factors": lambda: gradient_factors(of_pool()),
        "classifier_head": lambda: ClassifierHead(net.head.weight.detach().float().clone(), net.head.bias.detach().float().clone()),
        "images": lambda: round_.resident.images(unlabelled),
        "labelled_images": lambda: round_.resident.images(owned),
        "mc_samples": lambda: mc_samples(learner, unlabelled, of_pool, strategy.estimation, round_.seed("mc-dropout")),
        "pool_labels": lambda: torch.from_numpy(disclose().copy()).to(round_.resident.device),
        "members": lambda: torch.stack(
            [of_pool().probabilities, *(m.predict(unlabelled).probabilities for m in cast(list[Learner], members)[1:])], 1
        ),
    }


LOOKS: Final = {"classification": makers, "segmentation": map_features.makers}
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
    learner = cast(Learner, fit(round_.protocol, more, round_.seed("retrained"), round_.number, round_.resident).learner)

    def predict(wanted: Indices) -> Tensor:
        if strangers := np.setdiff1d(wanted, inputs.pool).tolist():
            raise StrategyError(Fault("prediction of a retrained classifier", "members of the pool", f"not in the pool: {strangers[:5]}"))
        return learner.predict(wanted).probabilities

    return predict


def gradient_factors(predictions: Predictions) -> GradientFactors:
    """Residuals at the predicted class, and embeddings (Ash 2020, equation 1)."""
    p = predictions.probabilities
    predicted = torch.zeros_like(p).scatter_(1, p.argmax(1, keepdim=True), 1)
    return GradientFactors(p - predicted, predictions.embeddings)


def mc_samples(learner: Learner, indices: Indices, predictions: Callable[[], Predictions], how: Estimation, seed: int) -> Tensor:
    """(u, s, k) probabilities under s dropout masks (Gal & Ghahramani 2016), each mask the same for all images.

    One mask is one draw of the classifier's weights; BatchBALD's joint entropies need that all images see the same draw.
    A network that drops out before its last layer only, or nowhere (then `how.dropout` is applied there, at inference
    alone, so that the compared classifier is everybody's), needs no further pass over the images.
    """
    net = learner.net
    generator = torch.Generator().manual_seed(seed)
    layers = [m for m in net.body.modules() if isinstance(m, _DropoutNd) and m.p > 0]
    if not layers:
        return _samples_of_head(predictions().embeddings, net.head, net.dropout.p or how.dropout, how.samples, generator)
    samples = []
    for _ in range(how.samples):
        with _dropping([*layers, net.dropout], generator):
            samples.append(learner.predict(indices).probabilities)
    return torch.stack(samples, 1)


def _samples_of_head(embeddings: Tensor, head: nn.Linear, dropout: float, samples: int, generator: torch.Generator) -> Tensor:
    """Dropping inputs of a linear layer is dropping columns of its weights: all masks in one product."""
    k, d = head.weight.shape
    masks = (torch.rand(samples, 1, d, generator=generator) >= dropout).float() / (1 - dropout)
    weights = (masks.to(embeddings.device) * head.weight.detach().float()).reshape(samples * k, d)
    out = torch.empty(len(embeddings), samples, k, device=embeddings.device)
    rows = max(1, _LOGITS_AT_ONCE // (samples * k))
    for start in range(0, len(embeddings), rows):
        part = embeddings[start : start + rows]
        out[start : start + rows] = ((part @ weights.T).view(len(part), samples, k) + head.bias.detach().float()).softmax(2)
    return out


@contextmanager
def _dropping(layers: list[_DropoutNd], generator: torch.Generator) -> Iterator[None]:
    """While it lasts, dropout layers in evaluation mode drop by one mask each, drawn when first used."""
    masks: dict[nn.Module, Tensor] = {}

    def drop(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if layer not in masks:
            channels_only = not isinstance(layer, nn.Dropout)
            shape = (output.shape[1], *[1] * (output.ndim - 2)) if channels_only else tuple(output.shape[1:])
            p = float(layer.p)  # type: ignore[arg-type]  # only dropout layers are hooked
            masks[layer] = ((torch.rand(shape, generator=generator) >= p).float() / (1 - p)).to(output.device)
        return output * masks[layer].to(output.dtype)

    handles = [layer.register_forward_hook(drop) for layer in layers if layer.p > 0]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Once:
    """Predictions made when first asked for, then kept."""

    def __init__(self, learner: Learner, indices: Indices) -> None:
        self._learner, self._indices = learner, indices
        self._kept: Predictions | None = None

    def __call__(self) -> Predictions:
        if self._kept is None:
            self._kept = self._learner.predict(self._indices)
        return self._kept
