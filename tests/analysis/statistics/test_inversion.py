"""Inverted tests agree with their tests, shift by shift."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics.hypothesis_tests import sign_flip, sign_flips, wilcoxon
from analysis.statistics.inversion import invert_sign_flips, invert_signed_rank
from analysis.statistics.power import least_seeds, least_seeds_equivalence

DELTA = 0.5


@pytest.mark.parametrize("trial", range(40))
def test_a_shift_is_outside_exactly_if_its_test_rejects(trial: int) -> None:
    rng = np.random.default_rng(trial)
    d = rng.gamma(1, 1, int(rng.integers(3, 12))) - 0.6 + rng.normal(0, 0.1)
    for found, p in ((invert_sign_flips([d], DELTA)[0], sign_flip), (invert_signed_rank(d, DELTA), wilcoxon)):
        assert (found.low <= 0 <= found.high) == (p(d).p > 0.05)
        for end, out in ((found.low, -1e-7), (found.high, 1e-7)):
            if np.isfinite(end):
                assert p(d - end - out).p <= 0.05 < p(d - end + out).p
        assert found.bounded == (len(d) >= 6)


@pytest.mark.parametrize("n", [5, 9])
def test_equivalence_is_the_larger_one_sided_p(n: int) -> None:
    d = np.random.default_rng(n).normal(0, 0.2, n)
    larger = max(sign_flip(d + DELTA).p, sign_flip(d - DELTA).p)
    assert invert_sign_flips([d], DELTA)[0].outside == pytest.approx(larger / 2)


def test_beyond_16_the_same_flips_give_p_and_interval() -> None:
    data = np.random.default_rng(0)
    samples = [data.normal(shift, 1, 20) for shift in np.linspace(0.3, 0.6, 40)]  # p around .05
    p = [result.p for result in sign_flips(samples, np.random.default_rng(7))]
    found = invert_sign_flips(samples, DELTA, rng=np.random.default_rng(7))
    assert [f.low > 0 or f.high < 0 for f in found] == [value <= 0.05 for value in p]
    assert {value <= 0.05 for value in p} == {True, False}
    with pytest.raises(ValueError, match="expected `rng`"):
        invert_sign_flips(samples, DELTA)


def test_equivalence_always_takes_more_seeds_than_a_difference() -> None:
    for tests in range(1, 60):
        assert least_seeds_equivalence(tests, 0.05) > least_seeds("sign-flip", tests, 0.05)
