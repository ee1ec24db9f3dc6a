from __future__ import annotations

import numpy as np
import pytest

from analysis.across.levers import levers
from analysis.statistics.bootstrap import Resampler
from tests.analysis.several import setting, simulated


def resampler() -> Resampler:
    return Resampler(np.random.default_rng(4), 400)


PLAIN = setting({"random": [[0.5, 0.6, 0.7, 0.8]] * 3, "margin": [[0.5, 0.65, 0.7, 0.85]] * 3}, regime="plain")
STRONG = setting({"random": [[0.6, 0.7, 0.8, 0.9]] * 3, "margin": [[0.6, 0.75, 0.8, 0.9]] * 3}, regime="strong")


def test_levers_by_hand() -> None:
    rows = {(r.lever, r.name, r.regime, r.budget): r for r in levers([PLAIN, STRONG], "random", resampler())}
    assert len(rows) == 4 + 4 + 4
    # under "strong" random has .7 at 200 labels, which the base regime needs 400 for
    strong = rows["regime", "strong", "strong", 200]
    assert (strong.points, strong.labels_worth, strong.at_least) == pytest.approx((0.1, 200, 200))
    assert (strong.low, strong.high, strong.worth_low, strong.worth_high) == pytest.approx((0.1, 0.1, 200, 200))
    # margin at 200: .65, halfway between the base's 200 and 400
    margin = rows["strategy", "margin", "plain", 200]
    assert (margin.points, margin.labels_worth) == pytest.approx((0.05, 100))
    # within "strong": from .7 (base: 400 labels) to .75 (600)
    within = rows["strategy", "margin", "strong", 200]
    assert (within.points, within.labels_worth) == pytest.approx((0.05, 200))


def test_beyond_the_yardstick_is_a_bound_or_unknown() -> None:
    rows = {(r.lever, r.regime, r.budget): r for r in levers([PLAIN, STRONG], "random", resampler())}
    beyond = rows["regime", "strong", 800]
    assert (beyond.labels_worth, beyond.at_least, beyond.points) == (np.inf, 0, pytest.approx(0.1))
    unknown = rows["strategy", "strong", 800]  # neither side is on the yardstick's scale
    assert np.isnan(unknown.labels_worth)
    assert unknown.undefined == 1
    assert np.isnan(unknown.at_least)


def test_base_regime_may_be_chosen_and_missing_yardsticks_leave_a_data_set_out() -> None:
    other = setting({"random": [[0.5, 0.6, 0.7, 0.8]]}, dataset="two", regime="strong")
    rows = levers([PLAIN, STRONG, other], "random", resampler(), base="strong")
    assert {(r.dataset, r.name) for r in rows} == {("one", "plain"), ("one", "margin")}
    assert next(r for r in rows if r.name == "plain").points == pytest.approx(-0.1)
    assert {r.dataset for r in levers([PLAIN, STRONG, other], "random", resampler())} == {"one"}
    assert levers([], "random", resampler()) == ()
    with pytest.raises(ValueError, match="one protocol"):
        levers([PLAIN, PLAIN], "random", resampler())


def test_budgets_and_seeds_are_those_that_cells_share() -> None:
    dense = setting(
        {"random": [[0.6, 0.65, 0.7, 0.8]] * 3},
        budgets=(100, 150, 200, 400),
        regime="dense",
        seeds={"random": (7, 1, 0)[::-1]},
    )
    rows = [r for r in levers([PLAIN, dense], "random", resampler()) if r.name == "dense"]
    assert [(r.budget, r.n) for r in rows] == [(100, 2), (200, 2), (400, 2)]
    assert [r.points for r in rows] == pytest.approx([0.1, 0.1, 0.1])


def test_intervals_cover_planted_gains() -> None:
    made = [
        simulated({"random": 0.0, "good": 0.03}, 12),
        simulated({"random": 0.0, "good": 0.03}, 12, regime="strong", level=0.05),
    ]
    rows = levers(made, "random", resampler())
    good = [r for r in rows if r.name == "good"]
    assert all(r.low < 0.03 + 0.002 for r in good)
    assert all(r.low > 0.02 for r in good)
    assert all(r.worth_low <= r.labels_worth <= r.worth_high for r in good if np.isfinite(r.labels_worth))
    assert all(r.worth_low > 0 for r in good if np.isfinite(r.labels_worth) and r.regime == "plain")


@pytest.mark.parametrize("n", [6, 7, 9])
def test_random_reaches_its_own_best_whatever_rounding_does(n: int) -> None:
    curves = np.sort(np.random.default_rng(n).uniform(0.4, 0.8, (n, 4)), axis=1)
    made = setting({"random": curves.tolist(), "weak": (curves - 0.031).tolist()}, regime="plain")
    for place in range(20):  # one sum of n numbers may round like another by chance
        [last] = [
            r
            for r in levers([made], "random", Resampler(np.random.default_rng(place), 300))
            if r.budget == made.budgets[-1]
        ]
        assert np.isfinite([last.labels_worth, last.worth_low, last.worth_high, last.at_least]).all()
        assert last.worth_low <= last.labels_worth <= last.worth_high < 0
        assert last.undefined == 0
