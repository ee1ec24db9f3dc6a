from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.statistics.corrections import Correction, adjust, holm
from analysis.statistics.hypothesis_tests import paired_t, sign_flip, smallest_p, tost, welch, wilcoxon
from analysis.statistics.intervals import t_band, t_interval

MAIZE = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]
"""Darwin's maize, eighths of an inch; Fisher (1935), The Design of Experiments, ch. 3."""


def test_darwins_maize() -> None:
    t, w, s = paired_t(MAIZE), wilcoxon(MAIZE), sign_flip(MAIZE)
    assert (round(t.statistic, 3), round(t.p, 4)) == (2.148, 0.0497)
    assert (w.statistic, round(w.p, 7)) == (24, 0.0412598)
    assert round(s.p, 7) == 0.0526733


def test_c45_with_and_without_m() -> None:
    # Demsar 2006, table 2, C4.5+m minus C4.5. The paper splits the ranks of two zeros: R- = 3.5 + 7 + 1.5 = 12.
    # Dropped, as Wilcoxon did, all ranks are 2 lower: -.005 has 1.5 (tied with .005), -.008 has 5.
    base = [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.0, 0.940, 0.619, 0.972, 0.957]
    other = [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.0, 0.962, 0.666, 0.981, 0.978]
    result = wilcoxon(np.subtract(other, base))
    assert (result.n, result.statistic, result.direction) == (14, 6.5, 1)
    ranks = [1.5, -1.5, 3, 4, -5, 6, 7, 8, 9, 10, 11, 12]
    assert result.p == brute_force(ranks)


def brute_force(d: list[float]) -> float:
    total = abs(sum(d))
    flips = [
        abs(sum(e * x for e, x in zip(signs, d, strict=True))) for signs in itertools.product((1, -1), repeat=len(d))
    ]
    return sum(f >= total - 1e-9 for f in flips) / len(flips)


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=7))
def test_sign_flip_is_the_share_of_all_patterns(d: list[int]) -> None:
    assert sign_flip(d).p == pytest.approx(brute_force([float(x) for x in d]))


def test_rounding_loses_no_tie() -> None:
    # 0.1 + 0.2 is not 0.3 in floating point; the pattern (+, +, -) must count as reaching (-, -, +)
    d = [0.1, 0.2, 0.3]
    assert sign_flip(d).p == 2 / 8
    assert sign_flip([0.1 + 0.2, -0.3]).p == 1.0
    assert wilcoxon([0.1 + 0.2, -0.3, 0.5]).statistic == 1.5


@pytest.mark.parametrize("n", [3, 4, 5, 6, 8, 10])
def test_smallest_p_is_reached_and_no_smaller(n: int) -> None:
    d = np.arange(1, n + 1) / 7
    assert sign_flip(d).p == wilcoxon(d).p == smallest_p(n) == 2.0 ** (1 - n)


def test_wilcoxon_with_ties_is_exact_over_the_tied_ranks() -> None:
    # |d| = 1 1 2 2 3: ranks 1.5 1.5 3.5 3.5 5; only the patterns with negative sum <= 1.5 on either side: 3 + 3 of 32
    assert wilcoxon([1, -1, 2, 2, 3]).p == pytest.approx(6 / 32)


def test_simulated_flips_agree_with_enumeration_and_state_their_error() -> None:
    rng = np.random.default_rng(5)
    d = rng.normal(0.35, 1, 17)
    simulated = sign_flip(d, np.random.default_rng(1))
    signs = 1 - 2 * ((np.arange(2**17)[:, None] >> np.arange(17)) & 1)
    exact = np.mean(np.abs(signs @ d) >= abs(d.sum()) - 1e-9)
    assert 0 < simulated.standard_error < 0.002
    assert abs(simulated.p - exact) < 4 * simulated.standard_error
    assert simulated == sign_flip(d, np.random.default_rng(1))
    with pytest.raises(ValueError, match="expected `rng`"):
        sign_flip(d)


def test_degenerate_samples_have_defined_answers() -> None:
    for test in (paired_t, wilcoxon, sign_flip):
        assert test([]).p == test([0.3]).p == 1.0
        assert test([0.0, 0.0, 0.0]).p == 1.0
        assert test([0.01] * 5).p == 2.0**-4  # zero spread: t is undefined, the exact test answers
        with pytest.raises(ValueError, match="finite"):
            test([0.1, float("nan")])


def test_holm_by_hand() -> None:
    # sorted .01 .02 .03 .04 times 4 3 2 1, made monotone
    np.testing.assert_allclose(holm([0.03, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])
    assert holm([]).shape == (0,)


def test_t_interval_by_hand() -> None:
    # mean 3, sd sqrt(7), n = 4, t(.975, 3) = 3.182446
    found = t_interval([0.0, 2.0, 4.0, 6.0])
    half = 3.182446305284263 * np.sqrt(20 / 3) / 2
    assert (found.mean, found.low, found.high) == pytest.approx((3, 3 - half, 3 + half))
    assert np.isnan(t_interval([1.0]).low)
    assert t_interval([1.0]).mean == 1.0
    assert t_interval([]).n == 0


def test_band_is_the_interval_at_each_budget() -> None:
    x = np.random.default_rng(0).normal(size=(5, 3))
    _, low, _ = t_band(x)
    assert low.tolist() == pytest.approx([t_interval(column).low for column in x.T])


@pytest.mark.parametrize("delta", [0.2, 0.4, 0.6, 0.8])
def test_tost_is_the_ninety_percent_interval_inside_the_margin(delta: float) -> None:
    d = np.array([0.31, -0.42, 0.11, 0.25, 0.02, 0.4])
    ninety = t_interval(d, 0.9)
    assert (tost(d, delta).p <= 0.05) == (-delta < ninety.low and ninety.high < delta)


def test_tost_by_hand_and_at_its_edges() -> None:
    # mean 0, sd 1, n = 4, delta 2: t = 2 / (1 / 2) = 4 on 3 degrees, one-sided p .0140
    d = np.array([-1, 1, -1, 1]) * np.sqrt(3 / 4)
    assert tost(d, 2.0).p == pytest.approx(0.014004, abs=1e-6)
    assert tost([0.0], 1.0).p == 1.0
    assert tost([0.0] * 6, 0.01).p == 2.0**-6
    assert tost([0.01] * 6, 0.01).p == 1.0
    with pytest.raises(ValueError, match="positive"):
        tost(d, 0.0)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("holm", "holm"), ("hochberg", "simes-hochberg"), ("hommel", "hommel"), ("bh", "fdr_bh"), ("by", "fdr_by")],
)
def test_corrections_are_those_of_statsmodels(ours: Correction, theirs: str) -> None:
    rng = np.random.default_rng(5)
    for digits in (1, 2, 9):  # with many ties, few, none
        for m in (1, 2, 3, 7, 12):
            p = np.round(rng.random(m) ** 3, digits)
            assert adjust(p.tolist(), ours) == pytest.approx(multipletests(p, method=theirs)[1], abs=1e-12)
    assert adjust([], ours).shape == (0,)
    for wrong in ([0.5, float("nan")], [-0.1], [1.2]):
        with pytest.raises(ValueError, match="p-values"):
            adjust(wrong, ours)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_corrections_keep_the_order_and_follow_a_permutation(p: list[float], shuffle: random.Random) -> None:
    order = list(range(len(p)))
    shuffle.shuffle(order)
    for correction in ("holm", "hochberg", "hommel", "bh", "by"):
        q = adjust(p, correction)
        assert (q >= np.asarray(p) - 1e-15).all()
        assert (q <= 1).all()
        assert (np.diff(q[np.argsort(p, kind="stable")]) >= -1e-15).all()
        assert adjust([p[i] for i in order], correction) == pytest.approx(q[order], abs=1e-15)


def test_t_tests_are_those_of_scipy() -> None:
    rng = np.random.default_rng(6)
    for n, m in ((2, 3), (5, 9), (20, 20)):
        x, y = rng.normal(0.4, 1, n), rng.normal(0, 2, m)
        one, two = stats.ttest_1samp(x, 0), stats.ttest_ind(x, y, equal_var=False)
        assert (paired_t(x).statistic, paired_t(x).p) == pytest.approx((one.statistic, one.pvalue), rel=1e-9)
        assert (welch(x, y).statistic, welch(x, y).p) == pytest.approx((two.statistic, two.pvalue), rel=1e-9)
        sides = stats.ttest_1samp(x, -0.7, alternative="greater"), stats.ttest_1samp(x, 0.7, alternative="less")
        assert (tost(x, 0.7).p_low, tost(x, 0.7).p_high) == pytest.approx([s.pvalue for s in sides], rel=1e-9)
