"""Contextual diversity: the divergence by hand, the greedy sequence by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from runners.strategies import STRATEGIES, View
from runners.strategies.contextual_diversity import (
    ContextualDiversity,
    ContextualMixtures,
    Mixtures,
    Predictions,
    farthest_predictions,
)
from runners.strategies.support.mixtures import class_mixtures
from runners.tasks import TASKS


def divergences(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return Predictions(a).to(Predictions(b), slice(None))


def test_divergence_by_hand() -> None:
    a, b = torch.tensor([[0.8, 0.2], [0.5, 0.5]]), torch.tensor([[0.4, 0.6]])
    # 1/2 sum (a - b) log(a / b)
    hand = [0.5 * (0.4 * math.log(2) - 0.4 * math.log(1 / 3)), 0.5 * (0.1 * math.log(1.25) - 0.1 * math.log(5 / 6))]
    torch.testing.assert_close(divergences(a, b)[:, 0], torch.tensor(hand, dtype=torch.float64))


def test_certain_predictions_have_a_finite_divergence_and_zero_to_themselves() -> None:
    certain = torch.eye(3)
    found = divergences(certain, certain)
    assert found.isfinite().all()
    assert found.diagonal().abs().max() < 1e-12
    assert found[0, 1] > 10


def test_first_at_random_then_the_farthest_from_labelled_and_chosen() -> None:
    rng = np.random.default_rng(2)
    pool, labelled = rng.dirichlet(np.ones(4), 50), rng.dirichlet(np.ones(4), 6)

    def divergence(p: np.ndarray, q: np.ndarray) -> float:
        return float(((p - q) * np.log(p / q)).sum() / 2)

    found = farthest_predictions(torch.tensor(pool), torch.tensor(labelled), 12, np.random.default_rng(7))
    chosen = [int(np.random.default_rng(7).integers(50))]
    while len(chosen) < 12:
        centres = [*labelled, *pool[chosen]]
        chosen.append(int(np.argmax([min(divergence(p, c) for c in centres) for p in pool])))
    assert found.tolist() == chosen
    assert (
        len(
            {
                int(farthest_predictions(torch.tensor(pool), torch.tensor(labelled), 1, np.random.default_rng(s))[0])
                for s in range(30)
            }
        )
        > 10
    )


def entropy(*p: float) -> float:
    return -sum(x * math.log(x) for x in p)


def test_mixtures_by_hand() -> None:
    p = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.6, 0.1, 0.3]]).T.reshape(1, 3, 2, 2)
    whole = class_mixtures(p, torch.zeros(1, 2, 2, dtype=torch.int64), 1)[0]
    weights = [entropy(0.7, 0.2, 0.1), entropy(0.5, 0.3, 0.2), entropy(0.6, 0.1, 0.3)]
    first = [
        sum(w * x for w, x in zip(weights, column, strict=True)) / sum(weights)
        for column in ((0.7, 0.5, 0.6), (0.2, 0.3, 0.1), (0.1, 0.2, 0.3))
    ]
    torch.testing.assert_close(whole, torch.tensor([first, [0.1, 0.8, 0.1], [0.0, 0.0, 0.0]]))
    left, right = class_mixtures(p, torch.tensor([[[0, 1], [0, 1]]]), 2)
    torch.testing.assert_close(left, torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.0, 0.0, 0.0]]))
    w = weights[1:]
    torch.testing.assert_close(
        right[0], (w[0] * torch.tensor([0.5, 0.3, 0.2]) + w[1] * torch.tensor([0.6, 0.1, 0.3])) / sum(w)
    )
    certain = class_mixtures(
        torch.eye(3)[:, [0, 1, 1]].reshape(1, 3, 1, 3), torch.zeros(1, 1, 3, dtype=torch.int64), 1
    )[0]
    torch.testing.assert_close(certain, torch.diag(torch.tensor([1.0, 1.0, 0.0])))


def test_only_classes_that_both_have_are_compared() -> None:
    a = torch.tensor([[[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.0, 0.0]]])
    b = torch.tensor(
        [[[0.6, 0.2, 0.2], [0.0, 0.0, 0.0], [0.3, 0.3, 0.4]], [[0.0, 0.0, 0.0], [0.1, 0.8, 0.1], [0.0, 0.0, 0.0]]]
    )
    c = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.3, 0.3, 0.4]]])
    both = torch.cat([b, c, a])
    # 1/2 sum (p - q) log(p / q): the first class alone, the second alone, none, itself
    hand = [
        0.5 * (0.2 * math.log(0.8 / 0.6) + 2 * 0.1 * math.log(0.2 / 0.1)),
        0.5 * (0.1 * math.log(0.2 / 0.1) + 0.1 * math.log(0.8 / 0.7)),
        0.0,
        0.0,
    ]
    torch.testing.assert_close(Mixtures(a).to(Mixtures(both), slice(None))[0], torch.tensor(hand, dtype=torch.float64))
    twice = torch.tensor([[[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.0, 0.0, 0.0]]])
    assert Mixtures(a).to(Mixtures(twice), slice(None)).item() == pytest.approx(
        hand[0] + hand[1], rel=1e-5
    )  # a sum over classes


def test_the_greedy_sequence_on_maps_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(4)
    mixtures = rng.dirichlet(np.ones(3), (36, 3)) * (rng.random((36, 3, 1)) < 0.7)
    pool, owned = mixtures[:30], mixtures[30:]

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        both = (a.sum(1) > 0) & (b.sum(1) > 0)
        return float(((a[both] - b[both]) * np.log(a[both] / b[both])).sum() / 2)

    view = View(
        np.arange(30),
        np.arange(30, 36),
        np.zeros(6, np.int64),
        3,
        0,
        {"class_mixtures": torch.tensor(pool), "labelled_class_mixtures": torch.tensor(owned)},
    )
    found = ContextualMixtures().select(view, 8, np.random.default_rng(1))
    chosen = [int(np.random.default_rng(1).integers(30))]
    while len(chosen) < 8:
        chosen.append(
            int(
                np.argmax(
                    [
                        -1 if i in chosen else min(distance(p, c) for c in [*owned, *pool[chosen]])
                        for i, p in enumerate(pool)
                    ]
                )
            )
        )
    assert found.tolist() == chosen


def test_on_segmentation_cdal_compares_mixtures() -> None:
    assert isinstance(TASKS["segmentation"].adapt_or_refuse(STRATEGIES["cdal"](), "cdal"), ContextualMixtures)
    assert isinstance(
        TASKS["segmentation"].adapt_or_refuse(STRATEGIES["cdal"](), "cdal", regions=True), ContextualMixtures
    )
    assert isinstance(TASKS["classification"].adapt_or_refuse(STRATEGIES["cdal"](), "cdal"), ContextualDiversity)
