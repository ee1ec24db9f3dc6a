from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from analysis.statistics.hypothesis_tests import sign_flip
from analysis.statistics.max_t import max_t

CURVES = arrays.arrays(
    np.float64, st.tuples(st.integers(2, 6), st.integers(1, 4)), elements=st.integers(-9, 9).map(float)
)


def brute_force(d: np.ndarray) -> list[float]:
    """Westfall & Young's step-down, word by word: t of every flip, the maximum over what is not yet rejected."""

    def t(x: np.ndarray) -> np.ndarray:
        statistic: np.ndarray = np.abs(x.mean(axis=0)) / x.std(axis=0, ddof=1)
        return statistic

    seen = t(d)
    flips = [t(d * np.array(signs)[:, None]) for signs in itertools.product((1, -1), repeat=len(d))]
    order = np.argsort(-seen)
    p, worst = np.empty(len(seen)), 0.0
    for step, column in enumerate(order):
        worst = max(worst, float(np.mean([f[order[step:]].max() >= seen[column] - 1e-9 for f in flips])))
        p[column] = worst
    return p.tolist()


def test_step_down_p_by_brute_force() -> None:
    d = np.random.default_rng(4).normal([0.9, 0.1, 0.5], 1, (7, 3))
    found = max_t(d)
    assert found.p_adjusted.tolist() == pytest.approx(brute_force(d))
    assert found.p == found.p_adjusted.min()
    assert found.t.tolist() == pytest.approx((d.mean(0) / d.std(0, ddof=1) * np.sqrt(7)).tolist())


@settings(deadline=None)
@given(CURVES)
def test_one_budget_is_the_sign_flip_test_and_more_budgets_never_help(d: np.ndarray) -> None:
    found = max_t(d)
    alone = [sign_flip(column).p for column in d.T]
    if d.shape[1] == 1:
        assert found.p == pytest.approx(alone[0])
    assert (found.p_adjusted >= np.array(alone) - 1e-12).all()


@settings(deadline=None)
@given(CURVES, st.randoms(use_true_random=False))
def test_order_of_seeds_scale_and_sides_do_not_matter(d: np.ndarray, random) -> None:  # type: ignore[no-untyped-def]
    rows = list(range(len(d)))
    random.shuffle(rows)
    for other in (d[rows], -d, 3 * d, d * np.arange(1, d.shape[1] + 1)):
        np.testing.assert_allclose(max_t(other).p_adjusted, max_t(d).p_adjusted)


def test_simulated_flips_agree_with_enumeration() -> None:
    d = np.random.default_rng(2).normal([0.35, 0.5], 1, (17, 2))
    signs = 1 - 2 * ((np.arange(2**17)[:, None] >> np.arange(17)) & 1)
    scaled = d / np.sqrt((d**2).sum(0))
    exact = float(np.mean(np.abs(signs @ scaled).max(1) >= np.abs(scaled.sum(0)).max() - 1e-9))
    found = max_t(d, np.random.default_rng(1))
    assert 0 < found.standard_error < 0.004
    assert abs(found.p - exact) < 4 * found.standard_error
    with pytest.raises(ValueError, match="expected `rng`"):
        max_t(d)


def test_degenerate_curves_have_defined_answers() -> None:
    assert max_t([[0.3, 0.4]]).p == 1.0
    assert max_t(np.zeros((5, 3))).p_adjusted.tolist() == [1.0] * 3
    constant = max_t(np.full((5, 2), 0.01))
    assert constant.p == constant.smallest_p == 2.0**-4
    for bad in (np.empty((0, 3)), [[np.nan]], [1.0, 2.0]):
        with pytest.raises(ValueError, match="finite"):
            max_t(bad)
