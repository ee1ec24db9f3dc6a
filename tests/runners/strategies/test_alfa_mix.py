"""ALFA-Mix: the closed form of alpha against numbers by hand, against mixing for real, and the top-up."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.errors import InputError
from runners.strategies import View
from runners.strategies.alfa_mix import (
    AlfaMix,
    candidates_of,
    class_means,
    flipping_strength,
    nearest_to_centres,
)
from runners.strategies.view import ClassifierHead, Feature, Need


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def optimal_alpha(point: torch.Tensor, anchor: torch.Tensor, gradient: torch.Tensor, strength: float) -> torch.Tensor:
    """Return alpha = strength * ‖z* - z‖ / ‖g‖ * g / (z* - z), elementwise (equation 5).

    It mixes embeddings by brute force.
    """
    towards = anchor - point
    alpha: torch.Tensor = strength * towards.norm() / gradient.norm() * gradient / towards
    return alpha


def test_alpha_by_hand() -> None:
    # z* - z = (3, 4), length 5; g = (0.6, -0.8), length 1
    found = optimal_alpha(torch.tensor([1.0, 1.0]), torch.tensor([4.0, 5.0]), torch.tensor([0.6, -0.8]), 0.1)
    torch.testing.assert_close(found, torch.tensor([0.1 * 5 * 0.6 / 3, 0.1 * 5 * -0.8 / 4]))


def test_alpha_is_as_long_as_allowed_and_no_other_of_that_length_raises_the_loss_more() -> None:
    z, anchor, gradient = normal(6), normal(6, seed=1), normal(6, seed=2)
    move = optimal_alpha(z, anchor, gradient, 0.2) * (anchor - z)
    torch.testing.assert_close(move.norm(), 0.2 * (anchor - z).norm())
    other = F.normalize(normal(500, 6, seed=3), dim=1) * move.norm()
    assert (other @ gradient).max() < move @ gradient


@pytest.mark.parametrize("strength", [0.02, 0.1, 0.5])
def test_flips_are_those_of_really_mixed_embeddings(strength: float) -> None:
    points, anchors, weight, bias = normal(60, 5), normal(3, 5, seed=1), normal(3, 5, seed=2), normal(3, seed=3)
    variable = points.clone().requires_grad_()
    logits = variable @ weight.T + bias
    predicted = logits.argmax(1)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, predicted, reduction="sum"), variable)
    flips = torch.zeros(60, dtype=torch.bool)
    for i in range(60):
        for anchor in anchors:
            alpha = optimal_alpha(points[i], anchor, gradient[i], strength)
            mixed = (1 - alpha) * points[i] + alpha * anchor
            flips[i] |= (mixed @ weight.T + bias).argmax() != predicted[i]
    found = flipping_strength(points, anchors, weight, bias) < strength
    assert found.tolist() == flips.tolist()
    assert 0 < int(flips.sum()) < 60


def test_class_means_by_hand_and_the_overall_mean_for_an_absent_class() -> None:
    embeddings = torch.tensor([[1.0, 2.0], [3.0, 8.0], [11.0, 5.0]])
    found = class_means(embeddings, torch.tensor([0, 0, 2]), 3)
    torch.testing.assert_close(found, torch.tensor([[2.0, 5.0], [5.0, 5.0], [11.0, 5.0]]))


def test_strength_grows_until_more_than_n_flip_or_it_reaches_one() -> None:
    needed = np.array([0.1, 0.3, 0.6, 0.9, math.inf], np.float32)
    assert np.flatnonzero(candidates_of(needed, 1, 0.25)).tolist() == [0, 1]
    assert np.flatnonzero(candidates_of(needed, 2, 0.25)).tolist() == [0, 1, 2]
    assert np.flatnonzero(candidates_of(needed, 4, 0.25)).tolist() == [0, 1, 2, 3]


def test_one_of_every_group_nearest_its_centre() -> None:
    features = np.array([[0.0, 0], [0.2, 0], [0.1, 0], [9, 9], [9.4, 9], [9.1, 9.0]], np.float32)
    assert sorted(nearest_to_centres(features, 2, np.random.default_rng(0)).tolist()) == [2, 5]
    assert nearest_to_centres(np.ones((7, 2), np.float32), 3, np.random.default_rng(0)).tolist() == [0]


def test_what_is_missing_is_drawn_from_the_rest_without_repetition() -> None:
    # one image lies at the boundary, the others so far off that nothing flips them
    points = torch.tensor([[0.01, 0.0], *([[500.0, 0.1 * i] for i in range(9)])])
    features: dict[Need, Feature] = {
        "embeddings": points,
        "labelled_embeddings": torch.tensor([[1.0, 0.0], [-1.0, 0.0]]),
        "classifier_head": ClassifierHead(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.zeros(2)),
    }
    view = View(np.arange(10, 20), np.array([1, 2]), np.array([0, 1]), 2, 0, features)
    for seed in range(25):
        chosen = AlfaMix().select(view, 9, np.random.default_rng(seed)).tolist()
        assert chosen[0] == 10
        assert len(set(chosen)) == 9


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InputError) as caught:
        AlfaMix(step=0, most=0)
    assert len(caught.value.faults) == 2
