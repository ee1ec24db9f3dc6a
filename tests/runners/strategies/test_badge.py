"""BADGE: factorised distances against dense ones, weights against scikit-activeml, draws against their weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from runners.strategies import badge
from runners.strategies.badge import d2_sampling, d2_weights, squared_norms
from runners.strategies.view import GradientFactors


def factors_of(u: int, k: int, d: int, seed: int) -> GradientFactors:
    rng = np.random.default_rng(seed)
    p = torch.tensor(rng.dirichlet(np.ones(k), size=u), dtype=torch.float32)
    residuals = p - torch.nn.functional.one_hot(p.argmax(1), k)
    return GradientFactors(residuals, torch.tensor(rng.normal(size=(u, d)), dtype=torch.float32))


def dense(factors: GradientFactors) -> np.ndarray:
    r, e = (x.double().numpy() for x in factors)
    outer: np.ndarray = r[:, :, None] * e[:, None, :]
    return outer.reshape(len(r), -1)


def test_squared_distances_by_hand() -> None:
    factors = GradientFactors(
        torch.tensor([[-0.5, 0.5], [-0.25, 0.25], [0.0, 0.0]]), torch.tensor([[2.0], [3.0], [9.0]])
    )
    # gradients (-1, 1), (-0.75, 0.75), (0, 0)
    np.testing.assert_allclose(squared_norms(factors).numpy(), [2, 1.125, 0])
    np.testing.assert_allclose(d2_weights(factors, np.array([0])).numpy(), [0, 0.125, 2])
    np.testing.assert_allclose(d2_weights(factors, np.array([0, 1])).numpy(), [0, 0, 1.125])


@pytest.mark.parametrize("k", [3, 40])
def test_factorised_distances_are_the_dense_ones(k: int) -> None:
    factors, centres = factors_of(60, k, 7, 1), np.array([4, 50, 17])
    g = dense(factors)
    expected = ((g[:, None] - g[centres][None]) ** 2).sum(2).min(1)
    np.testing.assert_allclose(d2_weights(factors, centres).numpy(), expected, rtol=1e-4, atol=1e-6)
    rows = torch.tensor([3, 50, 59])
    np.testing.assert_allclose(d2_weights(factors, centres, rows).numpy(), expected[[3, 50, 59]], rtol=1e-4, atol=1e-6)


def test_weights_are_those_of_scikit_activeml() -> None:
    theirs = pytest.importorskip("skactiveml.pool._badge", reason="peer group not installed: uv sync --group peers")
    factors = factors_of(80, 5, 6, 2)
    g = dense(factors)
    first = theirs._d_2(g, [9], np.full(80, np.inf))
    np.testing.assert_allclose(d2_weights(factors, np.array([9])).numpy(), first, rtol=1e-4, atol=1e-6)
    second = theirs._d_2(g, [33], first)
    np.testing.assert_allclose(d2_weights(factors, np.array([9, 33])).numpy(), second, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("refresh", [1, 100])
def test_draws_follow_the_weights_whether_fresh_or_old(refresh: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(badge, "_REFRESH", refresh)
    factors = factors_of(7, 3, 2, 3)
    g = dense(factors)
    first = int((g**2).sum(1).argmax())
    square = ((g[:, None] - g[None]) ** 2).sum(2)
    expected = np.zeros((7, 7))
    for second in range(7):
        weight = square[first]
        third = np.minimum(weight, square[second])
        if second != first:
            expected[second] = weight[second] / weight.sum() * third / third.sum()
    rng = np.random.default_rng(0)
    found = np.zeros((7, 7))
    for _ in range(3000):
        chosen = d2_sampling(factors, 3, rng)
        assert chosen[0] == first
        found[chosen[1], chosen[2]] += 1 / 3000
    assert np.abs(found - expected).max() < 0.035  # 4 standard errors of the likeliest pair


def test_equal_gradients_are_drawn_last_and_then_evenly() -> None:
    factors = GradientFactors(torch.tensor([[-0.5, 0.5]] * 6 + [[-0.1, 0.1]]), torch.ones(7, 3))
    chosen = d2_sampling(factors, 7, np.random.default_rng(0)).tolist()
    assert chosen[:2] == [0, 6]
    assert sorted(chosen) == list(range(7))
    thirds = {int(d2_sampling(factors, 3, np.random.default_rng(s))[2]) for s in range(60)}
    assert thirds == {1, 2, 3, 4, 5}
