from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.corrections import adjust
from analysis.statistics.hypothesis_tests import welch
from analysis.verdict.estimate import independent

X, Y = [0.5, 0.4, 0.45], [0.1, 0.3, 0.25, 0.2]


def test_welch_and_its_interval_are_scipys() -> None:
    oracle = stats.ttest_ind(X, Y, equal_var=False)
    interval = oracle.confidence_interval(0.95)
    found = independent(X, Y, 0.5)
    assert welch(X, Y).p == found.test.p == pytest.approx(oracle.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.test.direction == -welch(Y, X).direction == 1


@pytest.mark.parametrize("delta", [0.3, 0.4, 0.43, 0.45, 0.5])
def test_unpaired_equivalence_is_the_98_percent_interval_inside_the_margin(delta: float) -> None:
    more = [*X, 0.42, 0.48], [*Y, 0.22, 0.18]
    inner = independent(*more, delta, level=0.98)
    assert (inner.equivalence <= 0.05) == (-delta < inner.low and inner.high < delta)


def test_few_unpaired_values_never_show_equivalence() -> None:
    assert independent(X, Y, 10.0).equivalence == 5 / 35  # 1 of 7 choose 3 ways to relabel


def test_degenerate_samples_have_defined_answers() -> None:
    assert independent([], Y, 0.1).test.p == independent([1.0], Y, 0.1).test.p == 1.0
    assert independent([0.5] * 3, [0.5] * 2, 0.1).test.p == 1.0
    assert independent([0.5] * 3, [0.4] * 2, 0.2).test.p == 2 / 10
    assert independent([0.5] * 3, [0.4] * 2, 0.2).equivalence == 5 / 10
    with pytest.raises(ValueError, match="finite"):
        welch(X, [np.nan, 1.0])


@pytest.mark.parametrize("scale", [1e99, 1e-99])
def test_welch_does_not_depend_on_the_unit(scale: float) -> None:
    one, other = independent(X, Y, 0.1), independent(np.array(X) * scale, np.array(Y) * scale, 0.1 * scale)
    assert other.high / scale == pytest.approx(one.high)
    assert (other.test.p, other.equivalence) == (pytest.approx(one.test.p), pytest.approx(one.equivalence))


def test_corrections_by_hand() -> None:
    p = [0.01, 0.04, 0.03, 0.005]
    found = {c: adjust(p, c).round(6).tolist() for c in ("holm", "hochberg", "hommel", "bh", "by")}
    assert found["holm"] == [0.03, 0.06, 0.06, 0.02]
    assert found["hochberg"] == [0.03, 0.04, 0.04, 0.02]
    assert found["hommel"] == [0.03, 0.04, 0.04, 0.02]
    assert found["bh"] == [0.02, 0.04, 0.04, 0.02]
    assert found["by"] == [round(q * 25 / 12, 6) for q in found["bh"]]
    assert adjust([], "bh").shape == (0,)
