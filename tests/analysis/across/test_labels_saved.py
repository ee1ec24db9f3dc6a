from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.across.labels_saved import labels_saved, labels_to_reach, target_grid
from analysis.statistics.bootstrap import Resampler
from tests.analysis.several import setting, simulated


def resampler(resamples: int = 400) -> Resampler:
    return Resampler(np.random.default_rng(2), resamples)


def test_labels_by_hand() -> None:
    # monotone: .5 .7 .7 .9; .6 halfway from 100 to 200; .75 a quarter of the way from 400 to 800
    labels, censored = labels_to_reach(
        [100, 200, 400, 800], [0.5, 0.7, 0.65, 0.9], [0.4, 0.5, 0.6, 0.7, 0.75, 0.9, 0.95]
    )
    np.testing.assert_allclose(labels, [100, 100, 150, 200, 500, 800, np.inf])
    assert censored.tolist() == [-1, 0, 0, 0, 0, 0, 1]


def test_one_budget_and_flat_curves() -> None:
    labels, censored = labels_to_reach([100], [0.5], [0.4, 0.5, 0.6])
    assert (labels.tolist(), censored.tolist()) == ([100, 100, np.inf], [-1, 0, 1])
    labels, _ = labels_to_reach([100, 200], [0.5, 0.5], [0.5, 0.6])
    assert labels.tolist() == [100, np.inf]
    assert target_grid([0.5, 0.5, 0.4]).shape == (0,)
    assert target_grid([0.5, 0.9, 0.7], 4).tolist() == pytest.approx([0.6, 0.7, 0.8, 0.9])


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_many_curves_are_each_interpolated_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    curves, budgets = rng.integers(0, 9, (4, 5)) / 8, np.cumsum(rng.integers(1, 90, 5))
    targets = rng.uniform(0, 1, (4, 3))
    labels, _ = labels_to_reach(budgets, curves, targets)
    for row in range(4):
        top = np.maximum.accumulate(curves[row])
        for found, tau in zip(labels[row], targets[row], strict=True):
            if tau > top[-1]:
                assert np.isinf(found)
            elif tau <= top[0]:
                assert found == budgets[0]
            else:
                # the inverse of interpolation, at the first crossing
                i = int(np.argmax(top >= tau))
                assert found == pytest.approx(np.interp(tau, top[i - 1 : i + 1], budgets[i - 1 : i + 1]))


def test_saved_by_hand() -> None:
    # the strategy reaches .7 at 200, the baseline at 400
    made = setting({"random": [[0.5, 0.6, 0.7, 0.8]] * 3, "good": [[0.5, 0.7, 0.75, 0.8]] * 3})
    (row,) = labels_saved(made, "good", "random", resampler(), [0.7])
    assert (row.labels, row.baseline_labels, row.saved, row.efficiency) == pytest.approx((200, 400, 200, 2))
    assert (row.saved_low, row.saved_high) == pytest.approx((200, 200))
    assert (row.censored, row.baseline_censored, row.n) == ("no", "no", 3)


def test_censoring_is_a_bound_and_is_counted() -> None:
    made = setting(
        {"random": [[0.5, 0.6, 0.7, 0.8]] * 3, "bad": [[0.4, 0.5, 0.6, 0.7]] * 3, "good": [[0.65, 0.7, 0.8, 0.9]] * 3}
    )
    never = labels_saved(made, "bad", "random", resampler(), [0.75])[0]
    assert (never.labels, never.saved, never.efficiency, never.censored) == (np.inf, -np.inf, 0, "right")
    assert never.resamples_right == 1
    before = labels_saved(made, "good", "random", resampler(), [0.6])[0]
    assert (before.censored, before.saved, before.resamples_left) == ("left", 100, 1)
    neither = labels_saved(made, "bad", "random", resampler(), [0.95])[0]
    assert np.isnan(neither.saved)
    assert neither.undefined == 1
    assert np.isnan(neither.saved_low)


def test_the_grid_comes_from_the_baseline_and_pairing_from_shared_seeds() -> None:
    made = setting(
        {"random": [[0.5, 0.6, 0.7, 0.8]] * 3, "good": [[0.6, 0.7, 0.8, 0.9]] * 2},
        seeds={"random": (1, 2, 3), "good": (2, 9)},
    )
    rows = labels_saved(made, "good", "random", resampler())
    assert [r.target for r in rows] == pytest.approx([0.56, 0.62, 0.68, 0.74, 0.8])
    assert {r.n for r in rows} == {1}
    assert np.isnan(rows[0].saved_low)
    assert labels_saved(setting({"random": [[0.5] * 4], "a": [[0.5] * 4]}), "a", "random", resampler()) == ()


def test_resamples_draw_the_same_seeds_for_both() -> None:
    # the two differ by seed in level, never from each other: paired resamples save exactly 0
    curves = simulated({"random": 0.0}).curves["random"]
    rows = labels_saved(setting({"random": curves, "same": curves}), "same", "random", resampler())
    assert {(r.saved, r.efficiency) for r in rows} == {(0, 1)}
    finite = [r for r in rows if np.isfinite(r.saved_low)]
    assert finite
    assert {(r.saved_low, r.saved_high) for r in finite} == {(0, 0)}


def test_swapping_flips_savings_and_a_constant_changes_nothing() -> None:
    made = simulated({"random": 0.0, "good": 0.02})
    targets = [0.6, 0.7, 0.8]
    ours = labels_saved(made, "good", "random", resampler(), targets)
    theirs = labels_saved(made, "random", "good", resampler(), targets)
    raised = setting({s: v + 0.05 for s, v in made.curves.items()})
    again = labels_saved(raised, "good", "random", resampler(), [t + 0.05 for t in targets])
    for a, b, c in zip(ours, theirs, again, strict=True):
        assert a.saved > 0
        assert (a.saved, a.saved_low) == pytest.approx((-b.saved, -b.saved_high))
        assert (c.saved, c.saved_low, c.saved_high) == pytest.approx((a.saved, a.saved_low, a.saved_high))


def test_the_baseline_reaches_its_own_best_whatever_the_order_of_sums() -> None:
    rng = np.random.default_rng(3)
    for n in range(3, 30):
        values = rng.random((n, 4)).cumsum(axis=1) / 3
        made = setting({"random": values, "a": values + 0.5})
        assert labels_saved(made, "a", "random", Resampler(rng, 20))[-1].baseline_censored == "no"


def test_a_rise_within_rounding_is_one_target() -> None:
    made = setting({"random": [[1e-14, 2e-14, 4e-14, 9e-14]] * 3, "x": [[2e-14, 3e-14, 5e-14, 8e-14]] * 3})
    assert len(labels_saved(made, "x", "random", resampler(20))) == 1
    assert [
        row.target
        for row in labels_saved(simulated({"random": 0, "x": 0.01}), "x", "random", resampler(20), [0.7, 0.6, 0.7])
    ] == [
        0.6,
        0.7,
    ]
