from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.across.ranking_stability import agreement, kendall, seed_agreement


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_kendall_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, 5, (3, 6)), rng.integers(0, 5, (3, 6))
    for found, a, b in zip(kendall(left, right), left, right, strict=True):
        assert found == pytest.approx(stats.kendalltau(a, b).statistic, nan_ok=True)


def test_ties_everywhere_rank_nothing() -> None:
    assert np.isnan(kendall([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))


def test_every_pair_once() -> None:
    rows = agreement(
        "data sets", "plain", ["a", "b", "c"], [np.array([1.0, 2, 3]), np.array([3.0, 2, 1]), np.array([1.0, 3, 2])]
    )
    assert [(r.left, r.right, round(r.tau, 3)) for r in rows] == [("a", "b", -1), ("a", "c", 0.333), ("b", "c", -0.333)]


def test_clear_rankings_are_stable_and_even_ones_are_not() -> None:
    rng = np.random.default_rng(1)
    clear = seed_agreement("p", rng.normal(size=(10, 4)) * 0.01 + np.arange(4), rng)
    even = seed_agreement("p", rng.normal(size=(10, 4)), rng)
    assert [r.n for r in clear] == [1, 2, 3, 4, 5]
    assert all((r.tau, r.winner_changes) == (1, 0) for r in clear)
    assert all(abs(r.tau) < 0.5 for r in even)
    assert all(r.winner_changes > 0.05 for r in even)
    assert even[0].winner_changes > 0.4
    assert seed_agreement("p", rng.normal(size=(1, 4)), rng) == ()


def test_the_two_draws_share_no_seed() -> None:
    # two seeds that disagree wholly: disjoint draws of one always name different winners
    rows = seed_agreement("p", [[0.0, 1.0], [1.0, 0.0]], np.random.default_rng(0))
    assert [(r.n, r.tau, r.winner_changes) for r in rows] == [(1, -1, 1)]
    constant = seed_agreement("p", np.ones((4, 3)), np.random.default_rng(0))
    assert all(np.isnan(r.tau) for r in constant)
    assert all(r.winner_changes == 0 for r in constant)
