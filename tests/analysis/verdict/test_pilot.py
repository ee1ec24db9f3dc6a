"""Simulated power against formulas, where there are formulas."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics.inversion import STRICTNESS
from analysis.statistics.power import power_of_t, power_of_tost, seeds_to_detect, seeds_to_show_equivalence
from analysis.verdict.pilot import MOST, seeds_by_simulation, seeds_of_pair, simulated_power

PILOT = np.array([-0.9, 0.4, 1.3, 0.1, -0.6, 0.7])  # its mean must not matter
SD = float(PILOT.std(ddof=1))


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("n", [8, 12])
def test_the_sign_flip_comes_close_to_the_t_test(n: int) -> None:
    found = simulated_power("sign-flip", PILOT, 1.0, n, 0.05, rng(), 2000)
    assert abs(found.power - power_of_t(n, 1.0 / SD)) < 0.04
    assert 0 < found.standard_error < 0.02


@pytest.mark.parametrize("n", [14, 20])
def test_equivalence_comes_close_to_the_formula_of_the_t_test(n: int) -> None:
    found = simulated_power("equivalence", PILOT, 1.0, n, 0.05, rng(), 2000)
    assert abs(found.power - power_of_tost(n, SD, 1.0, 0.05 / STRICTNESS)) < 0.05


def test_the_pilots_own_mean_does_not_matter() -> None:
    shifted = simulated_power("sign-flip", PILOT + 5, 0.5, 9, 0.05, rng(), 500)
    assert shifted == simulated_power("sign-flip", PILOT, 0.5, 9, 0.05, rng(), 500)


def test_under_no_difference_the_level_is_kept_with_patterns_enumerated_and_drawn() -> None:
    curves = rng().normal(size=(8, 5)).cumsum(axis=1)
    for n in (9, 20):
        found = simulated_power("max-t", curves, 0.0, n, 0.05, rng(), 2000)
        assert abs(found.power - 0.05) < 4 * 0.005


def test_a_curve_of_one_budget_is_the_sign_flip_test() -> None:
    one = simulated_power("max-t", PILOT[:, None], 0.8, 10, 0.05, rng(), 400)
    assert one == simulated_power("sign-flip", PILOT, 0.8, 10, 0.05, rng(), 400)


def test_the_first_budget_where_all_are_equal_by_design_finds_nothing() -> None:
    curves = np.column_stack([np.zeros(len(PILOT)), PILOT])
    assert simulated_power("max-t", curves, 0.8, 10, 0.05, rng(), 400) == simulated_power(
        "sign-flip", PILOT, 0.8, 10, 0.05, rng(), 400
    )


def test_more_budgets_that_all_differ_need_fewer_seeds_than_the_noisiest_alone() -> None:
    curves = np.column_stack([PILOT, 0.4 * PILOT[::-1]])
    whole = seeds_by_simulation("max-t", curves, 1.0, 0.05, rng())
    alone = seeds_by_simulation("sign-flip", PILOT, 1.0, 0.05, rng())
    assert whole is not None
    assert alone is not None
    assert whole < alone


def test_seeds_agree_with_the_formulas_and_none_is_said_beyond_the_limit() -> None:
    found = seeds_of_pair("p", "s", PILOT, PILOT[:, None], 1.0, 0.05, rng())
    assert (found.n, found.sd) == (6, SD)
    assert found.t == seeds_to_detect(SD, 1.0)
    assert abs((found.sign_flip or 0) - (found.t or 0)) <= 2
    assert abs((found.equivalence or 0) - (seeds_to_show_equivalence(SD, 1.0) or 0)) <= 2
    assert seeds_by_simulation("sign-flip", PILOT, SD / 10, 0.05, rng(), resamples=200) is None
    assert MOST == 64


def test_fewer_seeds_than_the_exact_test_can_reject_with_are_never_named() -> None:
    found = seeds_by_simulation("sign-flip", PILOT, 100.0, 0.001, rng(), resamples=100)
    assert found == 11  # 2^(1-11) <= .001 < 2^(1-10)


@pytest.mark.parametrize("pilot", [[1.0], [1.0, np.nan], np.ones((3, 2)), np.ones((2, 2, 2))])
def test_what_is_no_pilot_is_refused(pilot: object) -> None:
    with pytest.raises(ValueError, match="expected at least 2 finite differences"):
        simulated_power("sign-flip", pilot, 1.0, 5, 0.05, rng())  # type: ignore[arg-type]
