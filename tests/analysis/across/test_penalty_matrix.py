from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.across.penalty_matrix import ash_checkpoints, paired_winner, penalty_matrix
from tests.analysis.several import setting, simulated


def test_checkpoints_double_their_distance_and_stop_where_random_saturates() -> None:
    budgets = [100, 200, 300, 400, 500, 600, 700, 800, 900]
    rising = np.linspace(0.5, 0.9, 9)
    # b_0 + B, + 2B, + 4B, + 8B; .99 * .9 = .891 is exceeded at 900 only
    assert ash_checkpoints(budgets, rising).tolist() == [1, 2, 4, 8]
    early = [0.5, 0.6, 0.7, 0.896, 0.9, 0.9, 0.9, 0.9, 0.9]
    assert ash_checkpoints(budgets, early).tolist() == [1, 2]
    assert ash_checkpoints([100], [0.5]).tolist() == []
    assert ash_checkpoints([100, 200, 350], [0.1, 0.2, 0.3]).tolist() == [1]


def test_matrix_by_hand() -> None:
    noise = np.array([[0.001], [-0.001], [0.0005], [-0.0005], [0.0002]])
    base = np.array([0.5, 0.6, 0.7, 0.8]) + np.zeros((5, 1))
    # good wins at the last three budgets and is even at the first
    # Ash's only checkpoint is 200 (300 and 500 were not measured)
    good = base + np.array([0, 0.05, 0.05, 0.05]) + noise
    made = [setting({"random": base, "good": good}), setting({"random": base, "good": base + noise}, dataset="two")]
    ash = penalty_matrix(made, ["random", "good"], "random", "ash-2020")
    assert ash.wins == ((0, 0), (1, 0))
    assert ash.column_means == (0.5, 0)
    assert (ash.settings, ash.null_expectation) == (2, 0.05)
    lueth = penalty_matrix(made, ["random", "good"], "random", "lueth-2023")
    assert lueth.wins == ((0, 0), (0.75, 0))


def test_who_was_not_everywhere_is_named() -> None:
    everywhere = simulated({"random": 0.0, "weak": -0.05, "gone": -0.05})
    elsewhere = simulated({"random": 0.0, "weak": -0.05}, dataset="two")
    alone = setting({"random": [[0.1, 0.2, 0.3, 0.4]] * 5, "weak": [[0.1, 0.2, 0.3, 0.4]] * 5, "gone": [[0.1] * 4] * 5},
                    dataset="three", seeds={"gone": [4, 5, 6, 7, 8]})  # fmt: skip
    found = penalty_matrix([everywhere, elsewhere, alone], ["random", "weak", "gone"], "random", "lueth-2023")
    assert found.column_means[2] < found.column_means[1]  # as bad as the other, and penalised half as much
    assert found.compared == (3, 3, 1)  # one shared seed makes no comparison
    assert found.absent() == "compared only gone in 1 of 3 settings, which makes the column smaller"
    assert penalty_matrix([everywhere], ["random", "weak", "gone"], "random", "ash-2020").absent() == ""


def test_null_expectation_is_met() -> None:
    rng = np.random.default_rng(0)
    made = [setting({s: rng.normal(size=(5, 4)) for s in ("random", "a", "b")}, dataset=str(i)) for i in range(400)]
    found = penalty_matrix(made, ["random", "a", "b"], "random", "lueth-2023")
    cells = np.array(found.wins)[~np.eye(3, dtype=bool)]
    assert found.null_expectation == pytest.approx(10)
    assert abs(cells.mean() - 10) < 4 * np.sqrt(0.025 * 0.975 * 400 / 4 / 6)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9))
def test_winner_is_that_of_scipys_t_test(seed: int, n: int) -> None:
    d = np.random.default_rng(seed).normal(0.8, 1, (n, 6))
    p = stats.ttest_1samp(d, 0).pvalue
    assert paired_winner(d).tolist() == (np.sign(d.mean(axis=0)) * (p < 0.05)).tolist()
    assert paired_winner(-d).tolist() == (-paired_winner(d)).tolist()


def test_edges() -> None:
    assert paired_winner(np.ones((1, 2))).tolist() == [0, 0]
    assert paired_winner(np.full((5, 1), 0.1)).tolist() == [0]
    assert paired_winner(np.full((6, 2), [0.1, 0.0])).tolist() == [1, 0]
    alone = setting({"random": [[0.5] * 4] * 4})
    found = penalty_matrix([alone], ["random", "absent"], "random", "lueth-2023")
    assert found.wins == ((0, 0), (0, 0))
    empty = penalty_matrix([setting({"a": [[0.5] * 4]})], ["a"], "random", "ash-2020")
    assert (empty.settings, empty.null_expectation) == (0, 0)
    assert (
        penalty_matrix([simulated({"random": 0.0, "b": 0.05})], ["random", "b"], "random", "lueth-2023").wins[1][0] == 1
    )
