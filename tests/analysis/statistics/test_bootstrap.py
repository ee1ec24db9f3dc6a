from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics.aggregates import (
    improvement_of,
    iqm,
    iqm_of,
    mean_of,
    paired_improvement_of,
    performance_profile,
    probability_of_improvement,
)
from analysis.statistics.bootstrap import Resampler, expanded_tail

CITIES = np.array([10, 12, 12.5, 12.5, 13.9, 15, 21, 22, 23, 34, 50, 81, 89, 121, 134, 213])


def resampler(resamples: int = 2000, seed: int = 3) -> Resampler:
    return Resampler(np.random.default_rng(seed), resamples)


@pytest.mark.parametrize(("method", "low", "high"), [("percentile", 28.86, 84.21), ("bca", 32.31, 91.43)])
def test_intervals_of_r_boot(method: str, low: float, high: float) -> None:
    # boot.ci of R's package boot for the mean of these 16 values
    found = resampler(200_000, 0).estimate(mean_of([CITIES]), [16], method)  # type: ignore[arg-type]
    assert found.value == pytest.approx(CITIES.mean())
    assert found.low == pytest.approx(low, abs=0.2)
    assert found.high == pytest.approx(high, abs=0.2)


def test_bca_of_two_strata_agrees_with_scipy() -> None:
    x, y = CITIES, CITIES[:9] ** 1.2
    ours = resampler(40_000).estimate(mean_of([x, y]), [16, 9], "bca")

    def statistic(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray((a.mean(axis=axis) + b.mean(axis=axis)) / 2)

    theirs = stats.bootstrap(
        (x, y), statistic, n_resamples=40_000, method="BCa", rng=np.random.default_rng(1), vectorized=True
    ).confidence_interval
    assert (float(ours.low), float(ours.high)) == pytest.approx(tuple(theirs), rel=0.01)


def test_counts_sum_to_n_are_shared_and_repeat_with_the_seed() -> None:
    one = resampler(50)
    first, second = one.counts([4, 7])
    assert (first.shape, second.shape) == ((50, 4), (50, 7))
    assert (first.sum(axis=1) == 4).all()
    assert (second.sum(axis=1) == 7).all()
    assert one.counts([4, 7])[1] is second
    np.testing.assert_array_equal(resampler(50).counts([4, 7])[1], second)
    assert 0.8 < resampler(20_000).counts([5])[0].var() < 0.83  # multinomial: 1 - 1/5


def test_iqm_as_published() -> None:
    # Agarwal et al. 2021's library, its own test: rows are runs, columns tasks
    x, y = np.array([[1, 2], [2, 2], [1, 1], [2, 1]]), np.array([[1, 1], [2, 2], [3, 3]])
    assert iqm(list(x.T), resampler(10)).value == 1.5
    assert iqm(list(y.T), resampler(10)).value == 2
    ours = [x[:3, 0], x[:3, 1]]
    assert probability_of_improvement(ours, list(y.T), resampler(10), paired=False).value == pytest.approx(
        (2.5 / 9 + 3.5 / 9) / 2
    )


def test_probability_of_improvement_as_published() -> None:
    # four runs against three in the source; equal numbers here: the third run twice leaves the share of pairs won at 1/3
    x = np.array([[1, 2], [2, 2], [1, 1], [2, 1]] * 3)
    y = np.array([[1, 1], [2, 2], [3, 3]] * 4)
    assert probability_of_improvement(list(x.T), list(y.T), resampler(10), paired=False).value == pytest.approx(1 / 3)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_iqm_of_every_resample_is_the_trimmed_mean_of_the_drawn_runs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, 3).tolist()
    strata = [rng.integers(0, 6, n) / 7 for n in sizes]
    one = Resampler(rng, 20)
    found = iqm_of(strata)(one.counts(sizes))
    for b in range(20):
        drawn = np.concatenate([np.repeat(x, w[b].astype(int)) for x, w in zip(strata, one.counts(sizes), strict=True)])
        assert found[b] == pytest.approx(stats.trim_mean(drawn, 0.25))


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_improvement_of_every_resample_is_mann_whitney_of_the_drawn_runs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    x, y = rng.integers(0, 4, n) / 3, rng.integers(0, 4, n) / 3
    one = Resampler(rng, 20)
    plain, paired = improvement_of([x], [y])(one.counts([n])), paired_improvement_of([x], [y])(one.counts([n]))
    for b, w in enumerate(one.counts([n])[0]):
        a, c = np.repeat(x, w.astype(int)), np.repeat(y, w.astype(int))
        assert plain[b] == pytest.approx(stats.mannwhitneyu(a, c).statistic / n**2)
        assert paired[b] == pytest.approx(np.mean((a > c) + 0.5 * (a == c)))


@settings(deadline=None)
@given(st.integers(0, 1000), st.booleans())
def test_swapping_the_two_mirrors_the_probability(seed: int, paired: bool) -> None:
    rng = np.random.default_rng(seed)
    x, y = [rng.integers(0, 5, 6) for _ in range(2)], [rng.integers(0, 5, 6) for _ in range(2)]
    ours = probability_of_improvement(x, y, resampler(200), paired=paired)
    theirs = probability_of_improvement(y, x, resampler(200), paired=paired)
    assert float(ours.value) == pytest.approx(1 - float(theirs.value))
    assert float(ours.low) == pytest.approx(1 - float(theirs.high))


def test_pairing_narrows_the_interval_of_a_constant_gain() -> None:
    base = np.random.default_rng(0).normal(size=20)
    plain = probability_of_improvement([base + 0.1], [base], resampler(), paired=False)
    paired = probability_of_improvement([base + 0.1], [base], resampler(), paired=True)
    assert float(paired.value) == float(paired.high) == 1.0
    assert 0.5 < float(plain.value) < 0.7


def test_winning_every_time_is_no_proof_of_always_winning() -> None:
    ours, theirs = [np.arange(5.0) + 9, np.arange(3.0) + 9], [np.arange(5.0), np.arange(3.0)]
    for paired in (True, False):
        up, down = (
            probability_of_improvement(*sides, resampler(), paired=paired) for sides in ((ours, theirs), (theirs, ours))
        )
        bound = stats.beta.ppf(0.025, 6, 1)  # Clopper-Pearson for 6 of 6: the smaller stratum's three runs, twice
        assert (float(up.value), float(up.low), float(up.high)) == (1, pytest.approx(bound), 1)
        assert (float(down.value), float(down.low), float(down.high)) == (0, 0, pytest.approx(1 - bound))
    one = probability_of_improvement([[0.2]], [[0.1]], resampler(), paired=True)
    assert (float(one.value), np.isnan(one.low), np.isnan(one.high)) == (1, True, True)  # a single run has no interval


def test_the_bound_of_only_wins_covers() -> None:
    # the mean of .97 and .85 is .91: with seven runs each, all 14 are won in 26 % of studies
    random, inside, seen = np.random.default_rng(2), 0, 0
    for _ in range(300):
        wins = [random.random(7) < p for p in (0.97, 0.85)]
        found = probability_of_improvement([w * 2 - 1.0 for w in wins], [np.zeros(7)] * 2, resampler(50), paired=True)
        inside += bool(found.low <= 0.91 <= found.high)
        seen += float(found.value) == 1
    assert seen > 40
    assert inside > 0.93 * 300


def test_profile_by_hand() -> None:
    found = performance_profile([[0.1, 0.2, 0.3, 0.4], [0.2, 0.2]], [0.0, 0.2, 0.35], resampler(500))
    assert found.value.tolist() == [1.0, 0.25, 0.125]
    assert (found.low[0], found.high[0]) == (pytest.approx(0.025**0.25), 1.0)  # two strata of two runs at least
    assert found.low[1] < 0.25 < found.high[1]


def test_edges() -> None:
    assert np.isnan(iqm([[0.5], [0.1, 0.2]], resampler(10)).low)  # one run: no interval
    constant = iqm([[0.5] * 4], resampler(100), "bca")
    assert (constant.low, constant.value, constant.high) == (0.5, 0.5, 0.5)
    unusable: list[list[list[float]]] = [[], [[]], [[0.1, np.nan]]]
    for scores in unusable:
        with pytest.raises(ValueError, match="expected"):
            iqm(scores, resampler(10))
    with pytest.raises(ValueError, match="paired"):
        probability_of_improvement([[0.1, 0.2]], [[0.1]], resampler(10), paired=True)
    with pytest.raises(ValueError, match="level"):
        Resampler(np.random.default_rng(0), 0)


def test_infinite_resamples_bound_the_interval_and_undefined_ones_are_counted() -> None:
    values = np.array([1.0, 2.0, np.inf])

    def statistic(counts: list[np.ndarray]) -> np.ndarray:
        w = counts[0]
        with np.errstate(invalid="ignore"):
            means = np.where(w[:, 2] > 0, np.inf, (w[:, :2] @ values[:2]) / np.maximum(w[:, :2].sum(axis=1), 1))
        return np.where(w[:, 0] == 3, np.nan, means)

    found = resampler(4000).estimate(statistic, [3])  # type: ignore[arg-type]
    assert found.high == np.inf
    assert found.low < 2
    assert float(found.undefined) == pytest.approx(1 / 27, abs=0.01)


def test_expanded_tails_make_up_for_few_runs() -> None:
    # Phi(-sqrt(10/9) 2.2622) and Phi(-sqrt(5/4) 2.7764), t quantiles of 9 and 4 degrees of freedom
    assert expanded_tail([10], 0.95) == pytest.approx(0.00855, abs=1e-5)
    assert expanded_tail([5], 0.95) == pytest.approx(0.00095, abs=1e-5)
    assert expanded_tail([500, 500], 0.95) == pytest.approx(0.0248, abs=2e-4)
    assert np.isnan(expanded_tail([1, 4], 0.95))
    x = np.random.default_rng(0).normal(size=(8, 3))
    plain, wide = (
        Resampler(np.random.default_rng(1), 4000, method=m).estimate(mean_of([x]), [8])
        for m in ("percentile", "expanded")
    )
    assert (wide.low < plain.low).all()
    assert (wide.high > plain.high).all()
    assert (wide.value == plain.value).all()
    assert (plain.method, wide.method) == ("percentile", "expanded")
