"""Scores over several classifiers, worked by hand; BatchBALD against brute force and its authors' later code."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from protocol.errors import InputError
from runners.strategies import STRATEGIES, View
from runners.strategies.batchbald import BatchBald, Configurations, batch_bald
from runners.strategies.dropout_and_ensembles import (
    Bald,
    DropoutEntropy,
    EnsembleVariationRatio,
    PowerBald,
    mutual_information,
    variation_ratio,
)

SAMPLES = torch.tensor([[[0.8, 0.2], [0.4, 0.6], [0.9, 0.1]], [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]])


def h(*p: float) -> float:
    return -sum(x * math.log(x) for x in p if x)


def test_dropout_entropy_by_hand() -> None:
    torch.testing.assert_close(DropoutEntropy.score(SAMPLES), torch.tensor([h(0.7, 0.3), math.log(2)]))


def test_bald_by_hand_and_zero_where_all_draws_agree() -> None:
    hand = h(0.7, 0.3) - (h(0.8, 0.2) + h(0.4, 0.6) + h(0.9, 0.1)) / 3
    torch.testing.assert_close(Bald.score(SAMPLES), torch.tensor([hand, 0.0]))


def test_variation_ratio_counts_votes_not_mean_probabilities() -> None:
    # two of three vote for class 1 by a hair, while the mean favours class 0
    samples = torch.tensor([[[0.49, 0.51], [0.49, 0.51], [0.99, 0.01]]])
    torch.testing.assert_close(variation_ratio(samples), torch.tensor([1 / 3]))
    torch.testing.assert_close(EnsembleVariationRatio.score(SAMPLES), torch.tensor([1 / 3, 0.0]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dropout-entropy", 21),
        ("bald", 20),
        ("variation-ratio", 20),
        ("ensemble-entropy", 21),
        ("ensemble-variation-ratio", 20),
    ],
)
def test_the_highest_score_is_bought(name: str, expected: int) -> None:
    view = View(np.array([20, 21]), np.array([1]), np.array([0]), 2, 0, {"mc_samples": SAMPLES, "members": SAMPLES})
    assert STRATEGIES[name]().select(view, 1, np.random.default_rng(0)).tolist() == [expected]


def test_power_bald_draws_by_the_score() -> None:
    scores = mutual_information(SAMPLES_4)
    share = (scores / scores.sum()).numpy()
    view = View(np.arange(4), np.array([9]), np.array([0]), 2, 0, {"mc_samples": SAMPLES_4})
    rng = np.random.default_rng(0)
    firsts = np.bincount([int(PowerBald().select(view, 1, rng)[0]) for _ in range(3000)], minlength=4) / 3000
    assert np.abs(firsts - share).max() < 0.04  # more than 4 standard errors
    assert firsts[3] > firsts[0] > firsts[1]


SAMPLES_4 = torch.tensor(
    [[[0.9, 0.1], [0.3, 0.7]], [[0.6, 0.4], [0.3, 0.7]], [[0.5, 0.5], [0.5, 0.5]], [[0.95, 0.05], [0.1, 0.9]]]
)


def joint_information(p: np.ndarray, batch: list[int]) -> float:
    """I(labels of the batch; draw) by summing over every configuration of labels."""
    joint = 0.0
    for labels in itertools.product(range(p.shape[2]), repeat=len(batch)):
        given = np.prod([p[i, :, y] for i, y in zip(batch, labels, strict=True)], axis=0)
        joint -= given.mean() * math.log(given.mean())
    return joint - float(sum(-(p[i] * np.log(p[i])).sum(1).mean() for i in batch))


def brute_force(p: np.ndarray, n: int) -> list[int]:
    chosen: list[int] = []
    for _ in range(n):
        scores = [-np.inf if i in chosen else joint_information(p, [*chosen, i]) for i in range(len(p))]
        chosen.append(int(np.argmax(scores)))
    return chosen


def peaked(u: int, s: int, k: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(k, 0.4), size=(u, s)).clip(1e-6) / 1.0


def normal(p: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = p / p.sum(2, keepdims=True)
    return scaled


@pytest.mark.parametrize("seed", range(4))
def test_batch_bald_is_the_greedy_sequence(seed: int) -> None:
    p = normal(peaked(45, 6, 3, seed))
    ours = batch_bald(torch.tensor(p), 4, 10_000, np.random.default_rng(0)).tolist()
    assert ours == brute_force(p, 4)


def test_batch_bald_does_not_buy_the_same_information_twice() -> None:
    twin = [[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.1, 0.9]]
    other = [[0.85, 0.15], [0.85, 0.15], [0.15, 0.85], [0.15, 0.85]]
    view = View(np.arange(3), np.array([9]), np.array([0]), 2, 0, {"mc_samples": torch.tensor([twin, twin, other])})
    rng = np.random.default_rng(0)
    assert Bald(samples=4).select(view, 2, rng).tolist() in ([0, 1], [1, 0])
    assert BatchBald().select(view, 2, rng).tolist() == [0, 2]


def test_drawn_configurations_estimate_the_exact_gain() -> None:
    p = torch.tensor(normal(peaked(30, 8, 4, 1)))
    rng = np.random.default_rng(2)
    exact = drawn = Configurations.none(8, p.device)
    for i in range(4):
        exact = exact.extend(p[i], 4**4, rng)
    assert (exact.exact, len(exact.weights)) == (True, 4**4)
    assert float(exact.probability.sum()) == pytest.approx(1)
    for i in range(4):
        drawn = drawn.extend(
            p[i], 4000 if i else 3, rng
        )  # 3 cannot hold the 4 labels of the first image: drawn from there on
    assert (drawn.exact, len(drawn.weights)) == (False, 3)
    for i, most in enumerate((16, 16, 20_000)):
        drawn = (Configurations.none(8, p.device) if i == 0 else drawn).extend(p[i], most, rng)
    estimates = [_grown_by_draws(drawn, p[3], seed).conditional_entropy(p) for seed in range(200)]
    assert torch.allclose(exact.conditional_entropy(p), torch.stack(estimates).mean(0), atol=0.02)


def _grown_by_draws(batch: Configurations, p: torch.Tensor, seed: int) -> Configurations:
    grown = batch.extend(p, 63, np.random.default_rng(seed))  # one fewer than it holds, four times fewer than it would
    assert (grown.exact, len(grown.weights)) == (False, 63)
    return grown


def test_batch_bald_beyond_its_exact_part_is_close_to_the_greedy_information() -> None:
    p = normal(peaked(40, 6, 3, 5))
    best = joint_information(p, brute_force(p, 5))
    drawn = batch_bald(torch.tensor(p), 5, 2000, np.random.default_rng(1)).tolist()
    coarse = batch_bald(torch.tensor(p), 5, 100, np.random.default_rng(1)).tolist()
    assert joint_information(p, drawn) == pytest.approx(best)
    assert joint_information(p, coarse) > 0.97 * best


def test_batch_bald_equals_batchbald_redux() -> None:
    redux = pytest.importorskip("batchbald_redux.batchbald", reason="peer group not installed: uv sync --group peers")
    p = normal(peaked(200, 10, 4, 3))
    theirs = redux.get_batchbald_batch(torch.tensor(p).log(), 4, 4**4, dtype=torch.double).indices
    assert batch_bald(torch.tensor(p), 4, 4**4, np.random.default_rng(0)).tolist() == theirs


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="configurations"):
        BatchBald(configurations=0)
    with pytest.raises(InputError, match="samples"):
        Bald(samples=0)


def test_balanced_random_takes_as_many_of_each_predicted_class() -> None:
    predicted = np.array([0] * 50 + [1] * 6 + [2] * 2)
    view = View(np.arange(58), np.array([99]), np.array([0]), 3, 0, {"probabilities": torch.eye(3)[predicted]})
    rng = np.random.default_rng(4)
    counts = np.bincount(predicted[STRATEGIES["random-balanced"]().select(view, 12, rng)], minlength=3)
    assert counts.tolist() == [5, 5, 2]
    firsts = {int(STRATEGIES["random-balanced"]().select(view, 1, rng)[0]) for _ in range(60)}
    assert {int(predicted[i]) for i in firsts} == {0, 1, 2}
