from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import intervals
from analysis.statistics.intervals import simultaneous_band, t_band

X = np.random.default_rng(7).normal(size=(8, 4))


def test_bonferroni_is_the_t_interval_at_a_smaller_level() -> None:
    found = simultaneous_band(X, method="bonferroni-t")
    _, low, high = t_band(X, 1 - 0.05 / 4)
    np.testing.assert_allclose([found.low, found.high], [low, high])
    assert found.critical == pytest.approx(stats.t.ppf(1 - 0.025 / 4, 7))


def test_few_seeds_take_bonferroni_and_more_take_sup_t() -> None:
    assert simultaneous_band(X[:5]).method == "bonferroni-t"
    assert simultaneous_band(X[:6]).method == "sup-t"


def test_sup_t_lies_between_one_interval_and_bonferroni() -> None:
    one, bonferroni = stats.t.ppf(0.975, 7), stats.t.ppf(1 - 0.025 / 4, 7)
    assert one < simultaneous_band(X).critical <= bonferroni
    same = X[:, [0]] * np.array([1.0, 2.0, 5.0])  # budgets that move as one need no correction
    assert simultaneous_band(same).critical == pytest.approx(one, rel=0.05)


def test_same_curves_same_band_and_shifts_move_it() -> None:
    first, second, moved = simultaneous_band(X), simultaneous_band(X.copy()), simultaneous_band(X + 1)
    np.testing.assert_array_equal(first.low, second.low)
    np.testing.assert_allclose(moved.low, first.low + 1)
    np.testing.assert_allclose(simultaneous_band(-X).high, -first.low)


def test_degenerate_curves() -> None:
    one = simultaneous_band(X[:1])
    assert np.isnan(one.low).all()
    flat = simultaneous_band(np.c_[X, np.full(8, 0.25)])
    assert flat.low[-1] < 0.25 < flat.high[-1]  # equal values may hide a seed that differs
    assert flat.method == "bonferroni-t"
    start = simultaneous_band(np.c_[np.zeros(8), X])  # strategies start alike
    assert start.low[0] == start.high[0] == 0
    np.testing.assert_array_equal(simultaneous_band(np.full((8, 2), 0.5), resolution=0.01).high, [0.51, 0.51])
    assert np.isfinite(flat.low).all()
    assert simultaneous_band(np.full((8, 2), 0.5)).high.tolist() == [0.5, 0.5]


def test_fewer_normals_give_the_same_critical_value(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.cumsum(np.random.default_rng(0).normal(0, 1, (80, 12)), axis=1)
    short = simultaneous_band(x).critical
    monkeypatch.setattr(intervals, "MANY", 1000)
    assert simultaneous_band(x).critical == pytest.approx(short, rel=0.04)  # 500 simulated curves each
