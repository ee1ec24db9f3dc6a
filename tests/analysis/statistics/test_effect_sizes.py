from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.effect_sizes import cohens_dz, paired_improvement, superiority

D = np.array([0.8, -0.3, 1.4, 0.1, 2.0, -0.9])


@pytest.mark.parametrize("scale", [1.0, -1.0, 7.0])
def test_bounds_of_dz_put_the_tail_areas_where_they_belong(scale: float) -> None:
    found = cohens_dz(scale * D)
    t = found.value * np.sqrt(6)
    assert found.value == pytest.approx(np.mean(scale * D) / np.std(scale * D, ddof=1))
    assert stats.nct.cdf(t, 5, found.low * np.sqrt(6)) == pytest.approx(0.975, abs=1e-6)
    assert stats.nct.cdf(t, 5, found.high * np.sqrt(6)) == pytest.approx(0.025, abs=1e-6)


def test_dz_of_three_pairs_is_always_defined() -> None:
    for d in np.random.default_rng(0).normal(0.8, 1, (60, 3)):
        found = cohens_dz(d)
        assert found.low < found.value < found.high


def test_dz_far_out_and_undefined() -> None:
    near, far = (
        cohens_dz(shift + np.array([0.1, -0.1, 0.2, -0.2])) for shift in (8.7, 9.2)
    )  # t 95 and 101: either side of the switch
    assert near.value * 2 < 100 < far.value * 2
    assert near.low / near.value == pytest.approx(far.low / far.value, rel=2e-3)
    assert near.high / near.value == pytest.approx(far.high / far.value, rel=2e-3)
    assert np.isnan(cohens_dz([0.5, 0.5]).value)
    assert np.isnan(cohens_dz([0.5]).low)


def test_a12_by_hand() -> None:
    # Of 6 pairs: 2 > 1, 3 > 1, 3 > 2 win, 2 = 2 ties, 2 < 4 and 3 < 4 lose
    found = superiority([2, 3], [1, 2, 4])
    assert found.value == pytest.approx(3.5 / 6)
    mirrored = superiority([1, 2, 4], [2, 3])
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low))


def test_a12_interval_solves_its_equation() -> None:
    found = superiority([2, 3], [1, 2, 4])
    for theta in (found.low, found.high):
        variance = theta * (1 - theta) * (1 + 1.5 * ((1 - theta) / (2 - theta) + theta / (1 + theta))) / 6
        assert abs(found.value - theta) == pytest.approx(1.959964 * np.sqrt(variance), abs=1e-6)
    assert superiority([2, 3], [0, 1]).high == 1.0
    assert superiority([0, 1], [2, 3]).low == 0.0
    assert np.isnan(superiority([], [1]).value)


def test_paired_improvement_is_clopper_pearson() -> None:
    exact = stats.binomtest(4, 6).proportion_ci(0.95, "exact")
    found = paired_improvement(D)
    assert (found.value, found.low, found.high) == pytest.approx((4 / 6, exact.low, exact.high))
    assert paired_improvement([1, 1, 0, 0]).value == 0.75
    assert paired_improvement([1, 1]).high == 1.0
    assert paired_improvement([-1, -1]).low == 0.0
    assert np.isnan(paired_improvement([]).value)
