"""One contract for every registered strategy, on friendly and hostile views."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from runners.strategies import NEEDS, STRATEGIES, StrategyError, View, checked

CASES = ["ordinary", "one-hot", "constant", "ties", "bfloat16", "one class", "far offset"]


def view_of(case: str, u: int = 40, seed: int = 0, labelled: int = 7) -> View:
    rng = np.random.default_rng(seed)
    k = 1 if case == "one class" else 4
    logits = rng.normal(size=(u, k))
    points = rng.normal(size=(u + labelled, 6))
    if case == "far offset":
        points = points + 1000
    if case == "one-hot":
        probabilities = np.eye(k)[rng.integers(k, size=u)]
    elif case == "constant":
        probabilities, points = np.full((u, k), 1 / k), np.ones_like(points)
    else:
        logits = np.round(logits) if case == "ties" else logits
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        points = np.round(points) if case == "ties" else points
    kind = torch.bfloat16 if case == "bfloat16" else torch.float32
    embedded = torch.tensor(points, dtype=kind)
    order = rng.permutation(1000)[: u + labelled]
    return View(
        np.sort(order[:u]),
        order[u:],
        rng.integers(k, size=labelled),
        k,
        0,
        {
            "probabilities": torch.tensor(probabilities, dtype=torch.float32),
            "embeddings": embedded[:u],
            "labelled_embeddings": embedded[u:],
        },
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("n", [1, 9, 40])
@pytest.mark.parametrize("name", STRATEGIES)
def test_exactly_n_distinct_members_same_for_the_same_generator_and_inputs_untouched(name: str, n: int, case: str) -> None:
    view = view_of(case)
    before = {need: view.features[need].clone() for need in NEEDS}
    first = STRATEGIES[name]().select(view, n, np.random.default_rng(5))
    again = STRATEGIES[name]().select(view_of(case), n, np.random.default_rng(5))
    assert sorted(set(first.tolist())) == sorted(first.tolist())
    assert len(first) == n
    assert np.isin(first, view.unlabelled).all()
    np.testing.assert_array_equal(first, again)
    assert all(torch.equal(before[need], view.features[need]) for need in NEEDS)
    checked(first, view, n, name)


@pytest.mark.parametrize("name", STRATEGIES)
def test_declares_needs_that_exist_and_a_cost(name: str) -> None:
    strategy = STRATEGIES[name]
    assert set(strategy.needs) <= set(NEEDS)
    assert strategy.cost.startswith("O(")
    assert strategy.__doc__
    assert name == "random" or strategy.paper


@pytest.mark.parametrize("name", STRATEGIES)
def test_reads_only_what_it_declares(name: str) -> None:
    strategy = STRATEGIES[name]()
    view = view_of("ordinary")
    declared = View(view.unlabelled, view.labelled, view.labels, view.classes, 0, {n: view.features[n] for n in strategy.needs})
    assert len(strategy.select(declared, 3, np.random.default_rng(0))) == 3


@pytest.mark.parametrize("name", [n for n, s in STRATEGIES.items() if s.cold_start])
def test_cold_start_where_declared(name: str) -> None:
    chosen = STRATEGIES[name]().select(view_of("ordinary", labelled=0), 5, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == 5


def test_random_draws_without_replacement_and_uniformly() -> None:
    view = view_of("ordinary", u=10)
    rng = np.random.default_rng(0)
    draws = np.array([STRATEGIES["random"]().select(view, 5, rng) for _ in range(2000)])
    assert all(len(set(d)) == 5 for d in draws.tolist())
    frequency = np.array([(draws == i).sum() for i in view.unlabelled]) / 2000
    assert np.abs(frequency - 0.5).max() < 0.06  # 5 standard errors of a fair half


def test_a_strategy_that_reads_what_it_did_not_declare_is_told_so() -> None:
    with pytest.raises(StrategyError, match=r"expected: a need the strategy declares"):
        _ = View(np.arange(3), np.arange(0), np.arange(0), 2, 0).probabilities


def test_the_view_is_read_only() -> None:
    view = view_of("ordinary")
    for array in (view.unlabelled, view.labelled, view.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ([1.0, 2.0], "integers in one dimension"),
        ([[1, 2]], "integers in one dimension"),
        ([True, False], "integers in one dimension"),
        (None, "integers in one dimension"),
        ([10, 10], "distinct"),
        ([10], "2 indices"),
        ([10, 11, 12], "2 indices"),
        ([10, 20], "unlabelled"),
        ([10, 99], "members of view.unlabelled"),
        ([-1, 10], "members of view.unlabelled"),
    ],
)
def test_every_bad_selection_is_refused(selection: object, message: str) -> None:
    view = View(np.array([10, 11, 12]), np.array([20]), np.array([0]), 2, 0)
    with pytest.raises(StrategyError, match=message):
        checked(selection, view, 2, "mine")


def test_all_faults_of_a_selection_at_once() -> None:
    view = View(np.array([10, 11, 12]), np.array([20]), np.array([0]), 2, 0)
    with pytest.raises(StrategyError) as caught:
        checked([20, 20, 99], view, 2, "mine")
    assert len(caught.value.faults) == 4
