from __future__ import annotations

import math

import pytest
from statsmodels.stats.power import TTestPower

from analysis.statistics.power import (
    minimum_detectable_effect,
    power_of_t,
    power_of_tost,
    seeds_to_decide,
    seeds_to_detect,
    seeds_to_reject,
    seeds_to_show_equivalence,
)
from analysis.verdict.plan import plan_summary
from protocol.spec.study import Plan
from tests.analysis.simulated import make_study


@pytest.mark.parametrize(("n", "effect", "alpha"), [(3, 1.2, 0.05), (10, 0.7, 0.005), (34, 0.5, 0.05)])
def test_power_is_that_of_statsmodels(n: int, effect: float, alpha: float) -> None:
    assert power_of_t(n, effect, alpha) == pytest.approx(TTestPower().power(effect, n, alpha), abs=1e-9)


def test_published_seed_counts() -> None:
    sds = (0.5, 0.75, 1.0, 1.5, 2.0)
    assert [seeds_to_detect(sd, 1.0) for sd in sds] == [5, 7, 10, 20, 34]
    assert [seeds_to_detect(sd, 1.0, alpha=0.005) for sd in sds] == [8, 12, 18, 34, 58]


def test_minimum_detectable_effect() -> None:
    found = [round(minimum_detectable_effect(n), 2) for n in (3, 4, 5, 10)]
    assert found == [3.26, 2.13, 1.68, 1.0]
    assert minimum_detectable_effect(1) == math.inf


def test_seeds_any_rejection_needs() -> None:
    assert [seeds_to_reject(m) for m in (1, 5, 10, 20, 50)] == [6, 8, 9, 10, 11]


def test_equivalence_power_against_simulation() -> None:
    # 200 000 simulated studies, n = 8, sd 1, delta 1.2 (rng 0): 0.8433
    assert power_of_tost(8, 1.0, 1.2) == pytest.approx(_simulated_tost(8, 1.2), abs=0.005)
    needed = seeds_to_show_equivalence(1.0, 0.5)
    assert needed is not None
    assert power_of_tost(needed, 1.0, 0.5, 0.01) >= 0.8 > power_of_tost(needed - 1, 1.0, 0.5, 0.01)


def _simulated_tost(n: int, delta: float) -> float:
    import numpy as np
    from scipy import stats

    x = np.random.default_rng(0).normal(size=(50_000, n))
    reach = delta - stats.t.ppf(0.95, n - 1) * x.std(axis=1, ddof=1) / np.sqrt(n)
    return float(np.mean(np.abs(x.mean(axis=1)) < reach))


def test_seeds_to_decide_covers_both_truths_and_the_exact_test() -> None:
    decide = seeds_to_decide(1.0, 1.0, 0.05, 10, "sign-flip")
    detect, show = seeds_to_detect(1, 1, 0.005), seeds_to_show_equivalence(1, 1, 0.005)
    assert detect is not None
    assert show is not None
    assert decide == max(detect, show, 9)
    assert seeds_to_decide(1e-6, 1.0, 0.05, 10, "sign-flip") == 10
    assert seeds_to_decide(1e-6, 1.0, 0.05, 10, "t") == 10  # equivalence is always exact: 5 / 2^10 <= .005
    assert seeds_to_decide(50.0, 0.01, 0.05, 10, "t") is None


def test_next_to_no_spread_two_seeds_find_it_and_without_any_the_exact_test_must_be_able_to() -> None:
    assert power_of_t(2, 1e12) == power_of_t(2, 9e3) == 1
    assert power_of_t(2, 20e3, 2e-5) == pytest.approx(
        power_of_t(2, 7e3, 2e-5 * 20 / 7), abs=1e-3
    )  # on either side of the closed form
    assert seeds_to_decide(1e-12, 0.01, 0.05, 4, "t") == 9
    # of equal differences p is 2^(1 - n), and of equivalence 5 / 2^n, whatever test was planned: 5 / 2^9 <= .05 / 5
    assert [seeds_to_decide(0.0, 0.01, 0.05, 5, t) for t in ("t", "sign-flip", "wilcoxon")] == [9, 9, 9]


def test_plan_that_can_and_cannot_decide() -> None:
    few = plan_summary(make_study(seeds=5))
    assert (few.tests, few.families, few.smallest_p, few.minimum_seeds, few.can_decide) == (4, 1, 2.0**-4, 8, False)
    assert "can never" in few.summary()
    eight = plan_summary(make_study(seeds=8))
    assert eight.can_decide
    assert "can never call a strategy equivalent: it needs at least 9 seeds" in eight.summary()
    enough = plan_summary(make_study(seeds=9))
    assert "can never" not in enough.summary()
    apart = plan_summary(make_study(seeds=7, plan=Plan(family="strategies")))
    assert (apart.tests, apart.families, apart.minimum_seeds, apart.can_decide) == (2, 2, 7, True)
    assert not plan_summary(make_study(strategies=["random"])).can_decide
    assert plan_summary(make_study(seeds=1)).detectable == math.inf
