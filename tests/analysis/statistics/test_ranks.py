from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from analysis.statistics.ranks import (
    against_control,
    cliques,
    critical_difference,
    friedman,
    nemenyi,
    ranks,
    signed_rank_sums,
)

NAMES = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.975, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)
"""Demsar 2006, J. Mach. Learn. Res. 7, table 6: AUC of four variants of C4.5 on 14 data sets."""


def as_ranked() -> np.ndarray:
    """The paper ranks the printed tie of the second-last row (.975, .975) as third above fourth."""
    scores = DEMSAR.copy()
    scores[12, 2] = 0.97501
    return scores


def test_demsars_example() -> None:
    result = friedman(as_ranked())
    assert [round(r, 3) for r in result.mean_ranks] == [3.143, 2.000, 2.893, 1.964]
    assert (round(result.chi2, 2), round(result.f, 2)) == (9.28, 3.69)
    assert (round(critical_difference(4, 14), 2), round(critical_difference(4, 14, 0.1), 2)) == (1.25, 1.12)
    assert round(result.chi2_ties, 3) == 10.228
    assert result.chi2_ties == pytest.approx(stats.friedmanchisquare(*as_ranked().T).statistic)
    assert result.p_ties == pytest.approx(stats.friedmanchisquare(*as_ranked().T).pvalue)
    assert result.p_f == pytest.approx(0.0196, abs=1e-3)  # F(3, 39); the paper: critical value 2.85 at .05


def test_demsars_wilcoxon_of_c45_with_and_without_m() -> None:
    first = against_control(DEMSAR, NAMES, "C4.5")[0]
    assert (first.strategy, first.r_plus, first.r_minus) == ("C4.5+m", 93, 12)
    assert (first.wins, first.ties, first.losses, first.n) == (10, 2, 2, 14)
    assert first.p < 0.05 < first.p_adjusted * 3


def test_odd_zero_is_left_out() -> None:
    # |d| without one zero: 0 0 1 2 3 -> ranks 1.5 1.5 3 4 5; zeros give 1.5 to each side
    assert signed_rank_sums([0, 0, 0, 1, -2, 3]) == (3 + 5 + 1.5, 4 + 1.5)


def test_friedman_of_textbooks() -> None:
    scores = np.array([[84.5, 78.4, 83.1], [82.8, 79.1, 79.9], [79.1, 78.0, 77.8], [80.2, 76.0, 77.9]])
    assert friedman(scores).chi2 == pytest.approx(6.5)
    assert friedman(scores.T).chi2 == pytest.approx(7.4)


def test_nemenyi_as_published() -> None:
    # the example of rstatix and PMCMRplus: a rating per person (block) and group
    scores = np.array([[4, 6, 3, 5, 4, 5], [7, 8, 6, 7, 9, 6], [6, 9, 7, 8, 8, 9]]).T
    p = nemenyi(scores)
    assert (round(p[0, 1], 4), round(p[0, 2], 4), round(p[1, 2], 3)) == (0.0545, 0.0109, 0.832)
    np.testing.assert_array_equal(p, p.T)


def test_nemenyi_agrees_with_scikit_posthocs() -> None:
    posthocs = pytest.importorskip("scikit_posthocs", reason="scikit-posthocs is in the dependency group `oracles`")
    np.testing.assert_allclose(nemenyi(DEMSAR), posthocs.posthoc_nemenyi_friedman(DEMSAR).to_numpy(), atol=1e-6)


def test_nemenyi_p_is_alpha_at_the_critical_difference() -> None:
    # two strategies: mean ranks 1.2 and 1.8 over ten data sets; CD = .62 > .6
    scores = np.array([[1.0, 0.0]] * 8 + [[0.0, 1.0]] * 2)
    assert critical_difference(2, 10) == pytest.approx(1.959964 / np.sqrt(10), abs=1e-4)
    assert 0.05 < nemenyi(scores)[0, 1] < 0.06


def test_rounding_noise_is_a_tie() -> None:
    assert ranks([[0.1 + 0.2, 0.3]]).tolist() == [[1.5, 1.5]]


def test_edges_have_answers_or_refusals() -> None:
    tied = friedman(np.full((4, 3), 0.7))
    assert (tied.chi2, tied.p, tied.chi2_ties, tied.p_ties, tied.f, tied.p_f) == (0, 1, 0, 1, 0, 1)
    assert (nemenyi(np.full((4, 3), 0.7)) == 1).all()
    alike = friedman([[3.0, 2.0, 1.0]] * 4)
    assert (alike.chi2, alike.f) == (pytest.approx(8), np.inf)
    assert friedman([[1.0, 2.0], [3.0, 5.0], [4.0, 2.0]]).chi2 == pytest.approx(1 / 3)
    for scores in ([[1.0, 2.0, 3.0]], [[1.0], [2.0]], [[1.0, np.nan], [2.0, 3.0]], [1.0, 2.0]):
        with pytest.raises(ValueError, match="expected finite scores"):
            friedman(scores)
    one = against_control([[0.5, 0.6]], ["random", "a"], "random")[0]
    assert (one.p, one.smallest_p, one.r_plus) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="names"):
        against_control(DEMSAR, NAMES, "random")


def by_permutation(scores: np.ndarray) -> float:
    """Share of all rankings within blocks with a Friedman statistic no smaller, by brute force."""
    seen = friedman(scores).chi2
    blocks = [list(itertools.permutations(row)) for row in scores]
    found = [friedman(np.array(rows)).chi2 >= seen - 1e-9 for rows in itertools.product(*blocks)]
    return float(np.mean(found))


@pytest.mark.parametrize(("datasets", "strategies"), [(2, 2), (3, 2), (5, 2), (2, 3), (3, 3), (2, 4)])
def test_few_data_sets_that_agree_by_chance_are_no_certainty(datasets: int, strategies: int) -> None:
    found = friedman(np.tile(np.arange(1.0, strategies + 1), (datasets, 1)))
    exact = math.factorial(strategies) ** (1 - datasets)
    assert by_permutation(np.tile(np.arange(1.0, strategies + 1), (datasets, 1))) == pytest.approx(exact)
    assert found.f == np.inf
    assert found.p_f == pytest.approx(exact)
    assert min(found.p, found.p_ties) >= exact - 1e-12


def test_ties_leave_fewer_ways_to_agree_by_chance() -> None:
    scores = np.array([[1.0, 1.0, 2.0], [4.0, 4.0, 6.0]])  # the one that stands out is the same: 1 of 3 ways
    assert by_permutation(scores) == pytest.approx(1 / 3)
    assert friedman(scores).p_ties == pytest.approx(1 / 3)
    assert stats.chi2.sf(friedman(scores).chi2_ties, 2) < 0.14  # what it would have been


def test_cliques_are_the_largest_groups() -> None:
    alike = np.eye(5, dtype=bool)
    for i, j in [(0, 1), (0, 2), (1, 2), (2, 4)]:
        alike[i, j] = alike[j, i] = True
    assert cliques(alike) == ((0, 1, 2), (2, 4))
    assert cliques(np.eye(3, dtype=bool)) == ()
    assert cliques(np.ones((3, 3), dtype=bool)) == ((0, 1, 2),)


tables = arrays(np.int64, st.tuples(st.integers(2, 6), st.integers(2, 5)), elements=st.integers(0, 9))


@settings(deadline=None)
@given(tables, st.randoms(use_true_random=False))
def test_order_of_data_sets_and_strategies_and_shifts_do_not_matter(table: np.ndarray, random) -> None:  # type: ignore[no-untyped-def]
    rows, columns = list(range(len(table))), list(range(table.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    shift = np.array([[random.randint(-5, 5)] for _ in rows])
    moved = table[np.ix_(rows, columns)] + shift
    before, after = friedman(table), friedman(moved)
    assert after.chi2 == pytest.approx(before.chi2)
    assert after.chi2_ties == pytest.approx(before.chi2_ties)
    assert list(after.mean_ranks) == pytest.approx([before.mean_ranks[c] for c in columns])


@settings(max_examples=8, deadline=None)
@given(tables)
def test_swapping_strategy_and_control_flips_every_sign(table: np.ndarray) -> None:
    ours = against_control(table[:, :2], ["random", "a"], "random")[0]
    theirs = against_control(table[:, :2], ["random", "a"], "a")[0]
    assert (ours.wins, ours.losses, ours.r_plus, ours.r_minus) == (
        theirs.losses,
        theirs.wins,
        theirs.r_minus,
        theirs.r_plus,
    )
    assert (ours.p, ours.median_difference) == (theirs.p, -theirs.median_difference)
