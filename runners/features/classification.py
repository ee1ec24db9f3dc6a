"""Features for classification, computed once per round in evaluation mode, without augmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from protocol.draws.splits import Indices
from runners.features.round import Makers, Round
from runners.models.learner import TrainedNetwork
from runners.regimes import Learner, Predictions
from runners.strategies import Estimation, Strategy
from runners.strategies.view import ClassifierHead, GradientFactors

_LOGITS_AT_ONCE = 2**24
"""Largest number of logits held at once, under all dropout masks (64 MiB)."""


def makers(
    round_: Round, strategy: Strategy, members: list[TrainedNetwork[Any]], disclose: Callable[[], NDArray[np.integer]]
) -> Makers:
    """Return a function per feature that classification offers; see `View` for what they compute."""
    unlabelled, labelled = round_.inputs.unlabelled, round_.inputs.labelled
    learner = cast(Learner, round_.fitted.learner)
    of_pool, of_labelled = _Once(learner, unlabelled), _Once(learner, labelled)
    net = learner.net
    return {
        "probabilities": lambda: of_pool().probabilities,
        "embeddings": lambda: of_pool().embeddings,
        "labelled_embeddings": lambda: of_labelled().embeddings,
        "labelled_probabilities": lambda: of_labelled().probabilities,
        "gradient_factors": lambda: gradient_factors(of_pool()),
        "classifier_head": lambda: ClassifierHead(
            net.head.weight.detach().float().clone(), net.head.bias.detach().float().clone()
        ),
        "images": lambda: round_.resident.images(unlabelled),
        "labelled_images": lambda: round_.resident.images(labelled),
        "mc_samples": lambda: mc_samples(learner, unlabelled, of_pool, strategy.estimation, round_.seed("mc-dropout")),
        "pool_labels": lambda: torch.from_numpy(disclose().copy()).to(round_.resident.device),
        "members": lambda: torch.stack(
            [of_pool().probabilities, *(m.predict(unlabelled).probabilities for m in cast(list[Learner], members)[1:])],
            1,
        ),
    }


def gradient_factors(predictions: Predictions) -> GradientFactors:
    """Return residuals at the predicted class, and embeddings (Ash 2020, equation 1)."""
    p = predictions.probabilities
    predicted = torch.zeros_like(p).scatter_(1, p.argmax(1, keepdim=True), 1)
    return GradientFactors(p - predicted, predictions.embeddings)


def mc_samples(
    learner: Learner, indices: Indices, predictions: Callable[[], Predictions], how: Estimation, seed: int
) -> Tensor:
    """Return probabilities under s dropout masks, shape (u, s, k) (Gal & Ghahramani 2016).

    Each mask is the same for all images: it is one draw of the classifier's weights, and the joint entropies of
    BatchBALD need the same draw for all images. A network without dropout gets `how.dropout` before its last layer, at
    inference only, so that the evaluated classifier is the same for all strategies. With dropout only before the last
    layer, no further pass over the images is needed.
    """
    net = learner.net
    generator = torch.Generator().manual_seed(seed)
    layers = [m for m in net.body.modules() if isinstance(m, _DropoutNd) and m.p > 0]
    if not layers:
        return _samples_of_head(
            predictions().embeddings, net.head, net.dropout.p or how.dropout, how.samples, generator
        )
    samples = []
    for _ in range(how.samples):
        with _dropping([*layers, net.dropout], generator):
            samples.append(learner.predict(indices).probabilities)
    return torch.stack(samples, 1)


def _samples_of_head(
    embeddings: Tensor, head: nn.Linear, dropout: float, samples: int, generator: torch.Generator
) -> Tensor:
    """Return probabilities under dropout before the head.

    Masks drop columns of its weights, all in one product.
    """
    k, d = head.weight.shape
    masks = (torch.rand(samples, 1, d, generator=generator) >= dropout).float() / (1 - dropout)
    weights = (masks.to(embeddings.device) * head.weight.detach().float()).reshape(samples * k, d)
    out = torch.empty(len(embeddings), samples, k, device=embeddings.device)
    rows = max(1, _LOGITS_AT_ONCE // (samples * k))
    for start in range(0, len(embeddings), rows):
        part = embeddings[start : start + rows]
        out[start : start + rows] = (
            (part @ weights.T).view(len(part), samples, k) + head.bias.detach().float()
        ).softmax(2)
    return out


@contextmanager
def _dropping(layers: list[_DropoutNd], generator: torch.Generator) -> Iterator[None]:
    """Make dropout layers in evaluation mode drop by one mask each, drawn when first used."""
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
    """Predictions computed on the first call, then cached."""

    def __init__(self, learner: Learner, indices: Indices) -> None:
        self._learner, self._indices = learner, indices
        self._cached: Predictions | None = None

    def __call__(self) -> Predictions:
        if self._cached is None:
            self._cached = self._learner.predict(self._indices)
        return self._cached
