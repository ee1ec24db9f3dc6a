"""Robust core-set: the smallest radius, checked by hand and against all subsets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from protocol.errors import InputError
from runners.strategies import STRATEGIES, View
from runners.strategies.core_set import k_center_greedy
from runners.strategies.robust_core_set import RobustCoreSet, cover, radius, robust_centres


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.linalg.norm(a[:, None] - b[None], axis=2)
    return found


def view_of(points: np.ndarray, labelled: np.ndarray) -> View:
    u, owned = len(points), len(labelled)
    features = {"embeddings": torch.tensor(points).float(), "labelled_embeddings": torch.tensor(labelled).float()}
    return View(np.arange(100, 100 + u), np.arange(owned), np.zeros(owned, np.int64), 2, 0, features)  # type: ignore[arg-type]  # keys are needs


def test_the_radius_leaves_out_the_farthest_weight() -> None:
    # reaches 0, 1, 4, 2 (owned) with centre 0; weights 3, 1, 2, 5
    distances, owned = (
        np.abs(np.subtract.outer([0, 1, 4, 9.0], [0, 1, 4, 9.0])),
        np.array([np.inf, np.inf, np.inf, 2.0]),
    )
    weights = np.array([3.0, 1, 2, 5])
    at = [radius(distances, owned, weights, np.array([0]), spare) for spare in (0, 1.9, 2, 6.9, 7, 8, 11)]
    assert at == [4, 4, 2, 2, 1, 0, 0]


def test_the_optimum_where_greedy_is_not() -> None:
    # owned at 0; greedy buys 10 and leaves 4 at distance 4; with 7 all lie within 3
    points = np.array([[4.0], [7], [10]])
    view = view_of(points, np.zeros((1, 1)))
    greedy = k_center_greedy(view.embeddings, view.labelled_embeddings, 1, np.random.default_rng(0))
    bought = RobustCoreSet(outliers=0).select(view, 1, np.random.default_rng(0)) - 100
    assert (greedy.tolist(), bought.tolist()) == ([2], [1])
    reached = [radius(between(points, points), points[:, 0], np.ones(3), at, 0) for at in (greedy, bought)]
    assert reached == [4, 3]


def test_outliers_are_left_alone() -> None:
    points = np.concatenate([np.linspace(1, 3, 9), [500.0], np.linspace(21, 23, 9), [-900.0]])[:, None]
    view = view_of(points, np.zeros((1, 1)))
    with_all = RobustCoreSet(outliers=0).select(view, 2, np.random.default_rng(0)) - 100
    assert {9, 19} == set(with_all.tolist())
    robust = RobustCoreSet(outliers=0.1).select(view, 2, np.random.default_rng(0)) - 100  # two of twenty
    reach = np.minimum(points[:, 0] ** 2, ((points - points[robust].T) ** 2).min(1))
    assert np.sort(reach)[-3] == 1  # 2 and 22 are bought
    assert not {9, 19} & set(robust.tolist())


@pytest.mark.parametrize("spare", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(6))
def test_no_subset_does_better(seed: int, spare: float) -> None:
    rng = np.random.default_rng(seed)
    points, labelled, weights = (
        rng.normal(size=(14, 2)),
        rng.normal(size=(2, 2)),
        rng.integers(1, 4, size=14).astype(float),
    )
    distances, owned = between(points, points), between(points, labelled).min(1)
    found = robust_centres(distances, owned, weights, 3, spare)
    least = min(radius(distances, owned, weights, np.array(some), spare) for some in combinations(range(14), 3))
    assert radius(distances, owned, weights, found, spare) == least


def test_a_cover_may_need_a_ball_around_a_point_that_is_covered_already() -> None:
    # on a line at 0, 2, 4 with radius 2: the middle one is owned, yet it alone covers both others
    near = np.abs(np.subtract.outer([0, 2, 4.0], [0, 2, 4.0])) <= 2
    found = cover(near, np.array([False, True, False]), np.ones(3), 1, 0)
    assert found is not None
    assert found.tolist() == [1]
    assert cover(near & np.eye(3, dtype=bool), np.array([False, True, False]), np.ones(3), 1, 0) is None


def test_a_represented_pool_is_covered_about_as_well_as_by_the_whole_program() -> None:
    rng = np.random.default_rng(5)
    points = rng.normal(size=(600, 3))
    points[:2] = [[40, 0, 0], [0, -60, 0]]
    view = view_of(points, rng.normal(size=(4, 3)))
    owned, everything = between(points, view.labelled_embeddings.numpy()).min(1), between(points, points)
    reached = {}
    for name, strategy in {"few": RobustCoreSet(2 / 600, nodes=60), "all": RobustCoreSet(2 / 600, nodes=600)}.items():
        bought = strategy.select(view, 8, np.random.default_rng(0)) - 100
        reached[name] = radius(everything, owned, np.ones(600), bought, 2)
    start = k_center_greedy(view.embeddings, view.labelled_embeddings, 8, np.random.default_rng(0))
    assert reached["all"] < radius(everything, owned, np.ones(600), start, 2)
    assert reached["few"] < 1.35 * reached["all"]


def test_whatever_the_radius_does_not_need_is_bought_greedily() -> None:
    points = np.array([[1.0], [1.0], [1.0], [7.0], [7.0]])
    view = view_of(points, np.zeros((1, 1)))
    bought = RobustCoreSet().select(view, 4, np.random.default_rng(0))
    assert len(set(bought.tolist())) == 4
    assert {1.0, 7.0} == set(points[bought - 100, 0])


def test_bad_arguments_are_refused_together() -> None:
    with pytest.raises(InputError) as caught:
        STRATEGIES["robust-core-set"](outliers=1.0, nodes=0)  # type: ignore[call-arg]  # of this class
    assert len(caught.value.faults) == 2
