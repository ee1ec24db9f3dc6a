from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.loading.curves import Curves
from analysis.loading.records import load_study
from analysis.verdict.decide import compare
from analysis.verdict.sentences import headline, sentence, summary
from analysis.verdict.verdict_table import to_latex, to_markdown
from analysis.verdict.write_tables import write_tables
from protocol.record.layout import StudyFolder
from protocol.spec.run_id import RunId
from protocol.spec.study import Plan
from tests.analysis.simulated import make_study, write_study

D = np.array([3.0, 5, 4, 6, 2, 7, 4.5, 5.5]) / 1000


def rows(**differences: np.ndarray) -> str:
    """One value per run; random is uneven over seeds, so that only pairing recovers the differences."""
    n = len(next(iter(differences.values())))
    base = 0.5 + 0.101 * np.arange(n)
    lines = [f"random,{s},10,{base[s]}" for s in range(n)]
    lines += [f"{name},{s},10,{base[s] + d[s]}" for name, d in differences.items() for s in range(n)]
    return "\n".join(lines) + "\n"


def answers(curves: Curves) -> dict[str, str]:
    return {v.strategy: v.answer for v in compare(curves).verdicts}


def test_the_four_answers(table) -> None:  # type: ignore[no-untyped-def]
    ten, alternating = np.concatenate([D, D[:2]]), np.array([1, -1] * 5) / 1000
    curves = table(rows(up=ten * 10, down=-ten * 10, same=alternating, wild=alternating * 50))
    assert answers(curves) == {"up": "better", "down": "worse", "same": "equivalent", "wild": "undecided"}
    first = "Of 4 comparisons with random: 1 better, 1 worse, 1 equivalent, 1 undecided"
    assert headline(compare(curves)) == f"{first} (family-wise error at most 0.05 over all of them)."


def test_the_headline_names_only_answers_that_occur(table) -> None:  # type: ignore[no-untyped-def]
    both = compare(table(rows(up=D * 10, more=D * 11)))
    assert headline(both) == "Of 2 comparisons with random: 2 better (family-wise error at most 0.05 over all of them)."
    neither = compare(table(rows(down=-D * 10, wild=np.array([1, -1] * 4) / 20)))
    assert (
        headline(neither)
        == "Of 2 comparisons with random: 1 worse, 1 undecided (family-wise error at most 0.05 over all of them)."
    )


def test_numbers_of_one_verdict(table) -> None:  # type: ignore[no-untyped-def]
    comparison = compare(table(rows(up=D * 10, other=-D)))
    up = comparison.verdicts[0]
    assert up.difference == pytest.approx(0.04625)
    assert up.sd == pytest.approx(D.std(ddof=1) * 10)
    assert (up.p, up.p_adjusted, up.smallest_p) == (2 / 256, 4 / 256, 2 / 256)
    assert (up.low, up.high) == pytest.approx((0.19 / 6, 0.06))  # subset means 6 from either end, of 2^8 flips
    assert (up.interval, up.centre, round(up.excludable, 3)) == ("sign-flip", pytest.approx(0.04625), 0.312)
    assert up.value - up.baseline_value == pytest.approx(up.difference)


def test_a_significant_difference_within_the_margin_is_flagged_not_hidden(table) -> None:  # type: ignore[no-untyped-def]
    comparison = compare(table(rows(small=D)))
    (verdict,) = comparison.verdicts
    assert verdict.p_equivalence_adjusted <= 0.05
    assert (verdict.answer, verdict.negligible) == ("better", True)
    assert "negligible" in summary(comparison)
    assert "better (negligible)" in to_markdown(comparison)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("scale", [10, 2])  # the whole interval beyond the margin of 0.01, or on both sides of it
def test_a_difference_that_may_exceed_the_margin_is_not_negligible(table, sign: int, scale: int) -> None:  # type: ignore[no-untyped-def]
    (verdict,) = compare(table(rows(x=sign * scale * D))).verdicts
    near, far = sorted((abs(verdict.low), abs(verdict.high)))
    assert near > 0.01 if scale == 10 else near < 0.01 < far
    assert (verdict.answer, verdict.negligible) == ("better" if sign > 0 else "worse", False)


def test_swapping_strategy_and_random_swaps_the_answer(table) -> None:  # type: ignore[no-untyped-def]
    up, down = (compare(table(rows(x=sign * D * 10))).verdicts[0] for sign in (1, -1))
    assert (up.answer, down.answer) == ("better", "worse")
    assert (up.difference, up.low, up.p) == pytest.approx((-down.difference, -down.high, down.p))


def test_family_of_the_plan(tmp_path: Path) -> None:
    for family, tests in (("strategies", 2), ("strategies x protocols", 4)):
        plan = Plan.model_validate({"family": family})
        folder = write_study(tmp_path / str(tests), make_study(seeds=7, plan=plan), {"good": 0.05, "bad": -0.05})
        comparison = compare(load_study(folder.path))
        assert comparison.tests == tests
        assert {round(v.p_adjusted / v.p) for v in comparison.verdicts} == {tests}
        # 2^-6 times 2 is below .05, times 4 is not: the family decides
        assert {v.answer for v in comparison.verdicts} == ({"better", "worse"} if tests == 2 else {"undecided"})


def test_missing_runs_never_shrink_the_family(folder: StudyFolder) -> None:
    shutil.rmtree(folder.records / "plain" / "bad")
    comparison = compare(load_study(folder.path))
    gone = next(v for v in comparison.verdicts if (v.protocol, v.strategy) == ("plain", "bad"))
    kept = next(v for v in comparison.verdicts if (v.protocol, v.strategy) == ("plain", "good"))
    assert (gone.answer, gone.n, gone.n_planned, gone.p) == ("undecided", 0, 6, 1.0)
    assert kept.p_adjusted == 2 * kept.p
    assert "30 of 36 planned" in summary(comparison)
    assert "plain/bad/seed-0: not run" in summary(comparison)


def test_a_missing_random_seed_is_reported_and_unpaired(folder: StudyFolder) -> None:
    shutil.rmtree(folder.run(RunId("plain", "random", 2)).path)
    comparison = compare(load_study(folder.path))
    assert {v.strategy: v.n for v in comparison.verdicts if v.protocol == "plain"} == {"good": 5, "bad": 5}
    assert any("plain/good: seed 2" in u for u in comparison.unmatched)
    assert "5 of 6 seeds" in summary(comparison)


@pytest.mark.parametrize("test", ["sign-flip", "t", "wilcoxon"])
def test_one_seed_and_identical_curves_are_answered(table, test: str) -> None:  # type: ignore[no-untyped-def]
    plan = Plan.model_validate({"test": test})
    one = compare(table(rows(x=np.array([0.1])), plan=plan))
    assert (one.verdicts[0].answer, one.verdicts[0].seeds_to_decide) == ("undecided", None)
    assert json.loads(one.to_json())["verdicts"][0]["low"] is None
    same = compare(table(rows(x=np.zeros(7)), plan=plan))
    assert (same.verdicts[0].answer, same.verdicts[0].p) == ("equivalent", 1.0)
    assert (same.verdicts[0].low, same.verdicts[0].high) == pytest.approx((-0.0005, 0.0005))  # of three decimals
    six = compare(table(rows(x=np.zeros(6)), plan=plan)).verdicts[0]
    assert (six.answer, six.p_equivalence) == ("undecided", 5 / 2**6)
    summary(one), summary(same)


@pytest.mark.parametrize("n", [3, 5, 7])
def test_equal_differences_have_no_spread_and_say_how_many_seeds_it_takes(table, n: int) -> None:  # type: ignore[no-untyped-def]
    # three and seven times .1 do not add up to .3 and .7: their mean is another number than .1
    (verdict,) = compare(table(rows(x=np.full(n, 0.1)), plan=Plan(test="t"))).verdicts
    assert (verdict.low, verdict.high, verdict.sd) == (pytest.approx(0.0995), pytest.approx(0.1005), 0)
    assert (verdict.answer, verdict.p, verdict.seeds_to_decide) == (
        "better" if n > 5 else "undecided",
        2.0 ** (1 - n),
        7,
    )


@pytest.mark.parametrize(
    ("scale", "said"),
    [(10, "mine beats random."), (-10, "mine loses to random."), (0, "mine is equivalent to random.")],
)
def test_a_single_comparison_is_a_sentence(table, scale: float, said: str) -> None:  # type: ignore[no-untyped-def]
    small = np.array([1, -1] * 4) / 1000
    assert headline(compare(table(rows(mine=D * scale if scale else small)))) == said
    assert headline(compare(table(rows(mine=small * 50)))) == "Whether mine beats random is undecided."


def test_undecided_is_never_called_no_difference(table) -> None:  # type: ignore[no-untyped-def]
    comparison = compare(table(rows(wild=np.array([5, -4, 3, -6, 5.0]) / 100)))
    text = summary(comparison)
    assert "undecided" in text
    assert "no difference" not in text
    assert "no significant" not in text
    verdict = comparison.verdicts[0]
    assert verdict.seeds_to_decide is not None
    assert f"To settle a difference as small as 0.01: about {verdict.seeds_to_decide} seeds." in text
    assert "can never decide: it needs at least 6" in text


def test_summary_states_how_it_was_decided(folder: StudyFolder) -> None:
    text = summary(compare(load_study(folder.path)))
    for phrase in (
        "paired by seed (n = 6)",
        "Holm over a family of 2",
        "alpha 0.05",
        "±0.01",
        "exact sign-flip",
        "As planned",
        "0.0312",
    ):
        assert phrase in text


def test_an_outlier_that_turns_the_mean_against_the_ranks_decides_nothing(table) -> None:  # type: ignore[no-untyped-def]
    d = np.array([*range(1, 12), -100]) / 1000  # R+ 66, R- 12, p .034, mean negative
    (verdict,) = compare(table(rows(x=d), plan=Plan(test="wilcoxon"))).verdicts
    assert verdict.p_adjusted < 0.05
    assert verdict.difference < 0
    assert verdict.answer == "undecided"


@pytest.mark.parametrize("test", ["sign-flip", "wilcoxon"])
def test_no_interval_contradicts_its_test(table, test: str) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    for n in (6, 7, 9, 12, 20):
        made = {f"s{i}": rng.integers(-3, 7, n) / 1000 for i in range(12)}  # many ties and zeros
        for v in compare(table(rows(**made), plan=Plan(test=test))).verdicts:  # type: ignore[arg-type]
            assert (v.low <= 0 <= v.high) == (v.p > 0.05), (n, v)
            assert v.high > v.low
            assert v.answer != "equivalent" or -0.01 < v.low < v.high < 0.01


@pytest.mark.parametrize("test", ["sign-flip", "t", "wilcoxon"])
@pytest.mark.parametrize("n", [3, 5, 6])
def test_seeds_that_can_hardly_show_better_never_show_equivalent(table, test: str, n: int) -> None:  # type: ignore[no-untyped-def]
    small = np.array([1, -1, 0.5, -0.5, 0.2, -0.2])[:n] / 1000
    assert answers(table(rows(x=small), plan=Plan(test=test, delta=0.5))) == {"x": "undecided"}  # type: ignore[arg-type]


def test_dependent_folds_widen_test_and_interval(table) -> None:  # type: ignore[no-untyped-def]
    curves = table(rows(x=D), plan=Plan(test="t"))
    independent, folds = (compare(replace(curves, rho=rho)).verdicts[0] for rho in (0.0, 0.1))
    # Nadeau & Bengio 2003: the squared standard error is (1/n + rho / (1 - rho)) s^2
    wider = np.sqrt(1 + 8 * 0.1 / 0.9)
    assert folds.high - folds.low == pytest.approx(wider * (independent.high - independent.low))
    t = D.mean() / (D.std(ddof=1) * np.sqrt(1 / 8 + 0.1 / 0.9))
    assert folds.p == pytest.approx(2 * stats.t.sf(t, 7))
    with pytest.raises(ValueError, match="independent differences"):
        compare(replace(curves, rho=0.1, plan=Plan()))


def test_only_random(tmp_path: Path) -> None:
    comparison = compare(load_study(write_study(tmp_path / "s", make_study(strategies=["random"]), {}).path))
    assert comparison.verdicts == ()
    assert "Nothing was compared" in summary(comparison)
    assert write_tables(comparison, tmp_path / "out")


def test_tables_say_what_the_verdicts_say(folder: StudyFolder, tmp_path: Path) -> None:
    comparison = compare(load_study(folder.path))
    paths = {p.name: p.read_text() for p in write_tables(comparison, tmp_path / "out")}
    assert set(paths) == {"verdicts.csv", "verdicts.md", "verdicts.tex", "verdicts.json", "summary.txt"}
    first = comparison.verdicts[0]
    shown = f"{first.difference:+.4f}"
    assert shown in paths["verdicts.md"]
    assert f"& {shown} &" in paths["verdicts.tex"]
    assert sentence(first, comparison) in paths["summary.txt"]
    assert json.loads(paths["verdicts.json"])["verdicts"][0]["difference"] == first.difference
    assert repr(first.difference) in paths["verdicts.csv"]
    assert paths["verdicts.tex"].count(r"\midrule") == 2
    assert len({line.count("|") for line in paths["verdicts.md"].split("\n\n")[0].splitlines()}) == 1


def test_latex_escapes(table) -> None:  # type: ignore[no-untyped-def]
    text = to_latex(compare(table(rows(**{"a_b&c": D}))))
    assert r"a\_b\&c" in text
    assert r"95 \% interval" in text


def test_json_says_what_the_seeds_could_have_shown(table) -> None:  # type: ignore[no-untyped-def]
    rows = "".join(f"{s},{seed},10,{0.5 + 0.01 * seed * (s == 'x')}\n" for s in ("random", "x") for seed in range(5))
    result = compare(table(rows))
    (row,) = result.to_dict()["planning"]
    assert (row["n"], row["tests"], row["smallest_p"], round(row["detectable_sd"], 2)) == (5, 1, 0.125, 1.68)  # a zero
    assert row["detectable"] == pytest.approx(row["detectable_sd"] * result.verdicts[0].sd)
    (alone,) = compare(table("random,0,10,0.5\nx,0,10,0.6\n")).to_dict()["planning"]
    assert (alone["detectable_sd"], alone["detectable"], alone["smallest_p"]) == (None, None, 1)
