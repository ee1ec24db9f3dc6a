"""One contract for every registered strategy, on friendly and hostile views."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from runners.guard.errors import StrategyError
from runners.loop import select
from runners.models import Net
from runners.strategies import STRATEGIES, Context, View
from runners.strategies.base import check_selection
from runners.strategies.view import NEEDS, ClassifierHead, Feature, GradientFactors, Need
from tests.support.toy_strategies import TOY

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
        features(case, probabilities, embedded, u, rng),
    )


def features(
    case: str, probabilities: Any, embedded: torch.Tensor, u: int, rng: np.random.Generator
) -> dict[Need, Feature]:
    """Everything a strategy may need; drawn after the rest, so that adding a need changes no other."""
    k, labelled = probabilities.shape[1], len(embedded) - u
    p = torch.tensor(probabilities, dtype=torch.float32)
    residuals = p - torch.nn.functional.one_hot(p.argmax(1), k)
    samples = p[:, None].repeat(1, 5, 1)
    if case not in ("constant", "one-hot"):
        samples = torch.tensor(rng.dirichlet(np.ones(k), size=(u, 5)), dtype=torch.float32)
    pixels = torch.tensor(rng.integers(256, size=(u + labelled, 8, 8, 1)), dtype=torch.uint8)
    return {
        "probabilities": p,
        "embeddings": embedded[:u],
        "labelled_embeddings": embedded[u:],
        "labelled_probabilities": torch.tensor(rng.dirichlet(np.ones(k), size=labelled), dtype=torch.float32),
        "gradient_factors": GradientFactors(residuals, embedded[:u]),
        "classifier_head": ClassifierHead(torch.tensor(rng.normal(size=(k, 6)), dtype=torch.float32), torch.zeros(k)),
        "images": pixels[:u],
        "labelled_images": pixels[u:],
        "mc_samples": samples,
        "members": samples.flip(1),
        **{
            need: torch.tensor(rng.random(u), dtype=torch.float32)
            for need in ("map_scores", "mc_map_scores", "member_map_scores")
        },
        "pool_labels": torch.tensor(rng.integers(k, size=u)),
        "flip_map_scores": torch.tensor(rng.random(u), dtype=torch.float32),
        "class_mixtures": torch.tensor(rng.dirichlet(np.ones(k), size=(u, k)), dtype=torch.float32),
        "expected_costs": torch.tensor(rng.integers(1, 9, u), dtype=torch.float32),
        "labelled_class_mixtures": torch.tensor(rng.dirichlet(np.ones(k), size=(labelled, k)), dtype=torch.float32),
    }


def choose(name: str, view: View, n: int, seed: int) -> Any:
    """As the loop does it: prepare, then select."""
    strategy = STRATEGIES[name](**TOY.get(name, {}))
    body = nn.Sequential(nn.Conv2d(1, 2, 3, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(8, 6))
    network = Net(body, 6, view.classes, 0.0).eval()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        context = Context(
            view,
            torch.device("cpu"),
            lambda: copy.deepcopy(network),
            lambda x: x.permute(0, 3, 1, 2).float() / 255,
            retrained(view),
        )
        strategy.prepare(context, torch.Generator().manual_seed(seed))
    return strategy.select(view, n, np.random.default_rng(seed))


def retrained(view: View) -> Callable[..., Callable[..., torch.Tensor]]:
    """Stand in for training.

    The classifier is the better at an image, the nearer its index lies to those trained on.
    """

    def train(indices: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], torch.Tensor]:
        assert len(indices) == len(labels)

        def predict(wanted: np.ndarray) -> torch.Tensor:
            near = 1 / (1 + np.abs(wanted[:, None] - indices[None]).min(1))
            sure = torch.tensor(near, dtype=torch.float32)[:, None].repeat(1, view.classes)
            return sure / view.classes

        return predict

    return train


def parts(feature: Feature) -> Sequence[torch.Tensor]:
    return (feature,) if isinstance(feature, torch.Tensor) else feature


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("n", [1, 9, 40])
@pytest.mark.parametrize("name", STRATEGIES)
def test_exactly_n_distinct_members_same_for_the_same_generator_and_inputs_untouched(
    name: str, n: int, case: str
) -> None:
    view = view_of(case)
    before = copy.deepcopy(view.features)
    first = choose(name, view, n, 5)
    again = choose(name, view_of(case), n, 5)
    assert sorted(set(first.tolist())) == sorted(first.tolist())
    assert len(first) == n
    assert np.isin(first, view.unlabelled).all()
    np.testing.assert_array_equal(first, again)
    for need in NEEDS:
        for one, other in zip(parts(before[need]), parts(view.features[need]), strict=True):
            assert torch.equal(one, other)
    check_selection(first, view, n, name)


@pytest.mark.parametrize("name", STRATEGIES)
def test_declares_needs_that_exist_and_a_cost(name: str) -> None:
    strategy = STRATEGIES[name]
    assert set(strategy.needs) <= set(NEEDS)
    assert strategy.cost.startswith("O(")
    assert strategy.__doc__
    assert name == "random" or strategy.paper


@pytest.mark.parametrize(
    "name", [n for n, s in STRATEGIES.items() if set(s.needs) - {"images", "labelled_images", "pool_labels"}]
)
def test_features_that_are_not_finite_are_told_of(name: str) -> None:
    for need in set(STRATEGIES[name].needs) - {"images", "labelled_images", "pool_labels"}:
        view = view_of("ordinary")
        for part in parts(view.features[need]):
            part.view(-1)[1] = torch.nan
        with pytest.raises(StrategyError, match=f"view.{need}\\n  expected: finite numbers\\n  found:    1 of"):
            choose(name, view, 3, 0)


@pytest.mark.parametrize("name", STRATEGIES)
def test_reads_only_what_it_declares(name: str) -> None:
    view = view_of("ordinary")
    declared = View(
        view.unlabelled,
        view.labelled,
        view.labels,
        view.classes,
        0,
        {n: view.features[n] for n in STRATEGIES[name].needs},
    )
    assert len(choose(name, declared, 3, 0)) == 3


@pytest.mark.parametrize("name", [n for n, s in STRATEGIES.items() if s.cold_start])
def test_cold_start_where_declared(name: str) -> None:
    chosen = choose(name, view_of("ordinary", labelled=0), 5, 0)
    assert len(set(chosen.tolist())) == 5


@pytest.mark.parametrize("name", [n for n, s in STRATEGIES.items() if not s.cold_start])
def test_a_clear_error_where_nothing_is_labelled_and_it_cannot_do_without(name: str) -> None:
    with pytest.raises(StrategyError, match="at least one labelled unit"):
        select(STRATEGIES[name](), name, view_of("ordinary", labelled=0), 5, np.random.default_rng(0))


@pytest.mark.parametrize("name", [n for n, s in STRATEGIES.items() if s.order_free])
def test_the_order_of_the_pool_has_no_say_where_declared(name: str) -> None:
    view = view_of("ordinary")
    order = np.random.default_rng(9).permutation(len(view.unlabelled))
    moved = dict(view.features)
    for need in ("probabilities", "embeddings", "mc_samples", "members", "flip_map_scores"):
        moved[need] = view._tensor(need)[order]
    other = View(view.unlabelled, view.labelled, view.labels, view.classes, 0, moved)
    before, after = (np.searchsorted(view.unlabelled, choose(name, v, 9, seed)) for v, seed in ((view, 1), (other, 2)))
    assert order[after].tolist() == before.tolist()


FIRST_OF_EQUALS = {
    "batch-bald": "greedy by information gain",
    "core-set": "greedy by distance to the nearest centre",
    "core-gcn": "core-set on the features of the graph network",
    "robust-core-set": "starts from the sequence of core-set",
    "typiclust": "greedy by typicality within a cluster",
}
"""Greedy strategies that by definition take the first of equal candidates.

The exact sequence is part of their contract.
"""


def tied(seed: int = 0) -> View:
    """A view in which every feature of every unlabelled candidate is the same."""
    view = view_of("ordinary", seed=seed)
    same = {need: _repeated(need, feature) for need, feature in view.features.items()}
    return View(view.unlabelled, view.labelled, view.labels, view.classes, 0, same)


def _repeated(need: Need, feature: Feature) -> Feature:
    if need == "classifier_head" or need.startswith("labelled_"):
        return feature
    if isinstance(feature, torch.Tensor):
        return feature[:1].repeat(len(feature), *[1] * (feature.ndim - 1))
    return type(feature)(*(part[:1].repeat(len(part), 1) for part in feature))


@pytest.mark.parametrize("name", [n for n in STRATEGIES if n not in FIRST_OF_EQUALS])
def test_ties_are_broken_at_random_and_not_by_index(name: str) -> None:
    first, second = (set(choose(name, tied(), 9, seed).tolist()) for seed in (1, 2))
    assert first != second


@pytest.mark.parametrize("name", FIRST_OF_EQUALS)
def test_greedy_strategies_take_the_first_of_equals(name: str) -> None:
    first, second = (choose(name, tied(), 9, seed).tolist() for seed in (1, 2))
    assert first == second


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
        check_selection(selection, view, 2, "mine")


def test_all_faults_of_a_selection_at_once() -> None:
    view = View(np.array([10, 11, 12]), np.array([20]), np.array([0]), 2, 0)
    with pytest.raises(StrategyError) as caught:
        check_selection([20, 20, 99], view, 2, "mine")
    assert len(caught.value.faults) == 4
