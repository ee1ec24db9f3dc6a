from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.loading.records import load_study
from analysis.statistics.alpha_spending import (
    LEAST,
    Spending,
    alpha_spent,
    levels_at_looks,
    nominal_levels,
    sequential_p,
)
from analysis.verdict.decide import compare
from analysis.verdict.plan import plan_summary
from analysis.verdict.sentences import summary
from protocol.spec.run_id import RunId
from protocol.spec.study import Plan
from tests.analysis.simulated import make_study, write_study

EQUAL = (2, 4, 6, 8, 10)


@pytest.mark.parametrize(
    ("spending", "bounds"),
    [
        # two-sided .05, five equal looks: Lan & DeMets' spending functions as tabulated by Jennison & Turnbull (2000) and in gsDesign
        ("obrien-fleming", [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        ("pocock", [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
    ],
)
def test_boundaries_are_the_published_ones(spending, bounds: list[float]) -> None:  # type: ignore[no-untyped-def]
    found = stats.norm.isf(np.array(nominal_levels(EQUAL, spending, 0.05)) / 2)
    assert found.tolist() == pytest.approx(bounds, abs=6e-4)


def test_all_is_spent_at_the_end_and_one_look_is_no_look() -> None:
    assert alpha_spent(1.0, "pocock", 0.03) == pytest.approx(0.03)
    assert alpha_spent(1.0, "obrien-fleming", 0.03) == pytest.approx(0.03)
    assert nominal_levels((7,), "obrien-fleming", 0.03)[0] == pytest.approx(0.03)
    assert sequential_p([0.013], (7,), "pocock") == pytest.approx(0.013, rel=1e-4)


@pytest.mark.parametrize("spending", ["pocock", "obrien-fleming"])
def test_looks_of_a_t_test_with_few_seeds_keep_alpha(spending: Spending) -> None:
    looks = (3, 6, 9, 12)
    x = np.random.default_rng(5).normal(size=(60_000, looks[-1]))
    p = np.stack([stats.ttest_1samp(x[:, :n], 0, axis=1).pvalue for n in looks], axis=1)
    used, normal = (np.mean((p <= f(looks, spending, 0.05)).any(axis=1)) for f in (levels_at_looks, nominal_levels))
    assert used == pytest.approx(0.05, abs=0.0025)
    assert normal > used + 0.001


def test_sequential_p_rejects_exactly_where_a_boundary_is_crossed() -> None:
    levels = levels_at_looks((3, 6, 12), "pocock", 0.05)
    for place, level in enumerate(levels):
        others = [0.9] * place
        assert sequential_p([*others, level * 0.99], (3, 6, 12), "pocock") < 0.05
        assert sequential_p([*others, level * 1.01], (3, 6, 12), "pocock") > 0.05
    assert sequential_p([], (3, 6), "pocock") == 1.0
    assert sequential_p([1e-200, 0.9], (3, 6), "pocock") == LEAST


def test_false_alarms_over_all_looks_stay_at_alpha() -> None:
    looks, rng = (3, 5, 10), np.random.default_rng(0)
    levels = nominal_levels(looks, "pocock", 0.05)
    x = rng.normal(size=(20_000, 10))
    p = np.stack([stats.ttest_1samp(x[:, :n], 0, axis=1).pvalue for n in looks])
    sequential = float((p <= np.array(levels)[:, None]).any(axis=0).mean())
    peeking = float((p <= 0.05).any(axis=0).mean())
    assert abs(sequential - 0.05) < 0.006
    assert peeking > 0.1


@pytest.mark.parametrize(
    ("done", "n", "answer"), [(4, 4, "undecided"), (6, 6, "better"), (7, 6, "better"), (9, 9, "better")]
)
def test_verdicts_use_the_last_look_reached(tmp_path: Path, done: int, n: int, answer: str) -> None:
    plan = Plan(looks=(6, 9), spending="pocock", test="t")
    study = make_study(["p"], ["random", "good"], seeds=9, plan=plan)
    folder = write_study(tmp_path / "s", study, {"good": 0.05})
    for seed in range(done, 9):
        folder.run(RunId("p", "good", seed)).events.unlink()
    comparison = compare(load_study(folder.path))
    (verdict,) = comparison.verdicts
    assert (verdict.n, verdict.answer) == (n, answer)
    if done == 4:
        assert verdict.p == verdict.p_equivalence == 1.0  # before the first look nothing is tested
    assert "Looks with alpha" in summary(comparison)
    assert "Looks with alpha" in plan_summary(study).summary()
