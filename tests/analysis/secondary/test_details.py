from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.loading.records import load_study
from analysis.secondary.details import details
from analysis.verdict.decide import compare
from protocol.errors import InputError
from protocol.record.layout import StudyFolder
from protocol.spec.study import Plan
from tests.analysis.simulated import make_study, write_study


def test_every_part_renders_and_says_what_its_rows_say(folder: StudyFolder) -> None:
    found = details(load_study(folder.path), at=[40])
    parts = found.parts()
    assert {name: len(part.rows) for name, part in parts.items()} == {
        "secondary": 12,  # three endpoints of four comparisons
        "whole_curve": 4,
        "band": 16,
        "effects": 12,
        "bayes": 8,
        "query_cost": 6,
    }
    for part in parts.values():
        assert len(part.to_frame()) == len(part.rows) == len(part.to_list())
        assert part.to_markdown().count("\n") == len(part.rows) + 2
        assert part.to_latex().count(r" \\") == len(part.rows) + 1
    row = next(r for r in found.secondary.rows if (r.protocol, r.strategy, r.endpoint) == ("plain", "good", "at 40"))
    assert f"{row.difference:+.4f}" in found.secondary.to_markdown()
    assert row.p_adjusted == 2 * row.p == 4 / 64  # the family is the protocol's two strategies
    curve = found.whole_curve.rows[0]
    assert (curve.strategy, curve.better_at, curve.worse_at) == ("good", (), ())  # 2 / 32 over two strategies


def test_claims_per_budget_are_corrected_over_strategies(tmp_path: Path) -> None:
    study = make_study(seeds=7, plan=Plan(family="strategies"))
    found = details(load_study(write_study(tmp_path / "s", study, {"good": 0.05, "bad": -0.05}).path))
    assert [r.better_at for r in found.whole_curve.rows[:2]] == [(20, 40, 80, 160), ()]
    assert {r.p_adjusted for r in found.band.rows} == {2 * 2.0**-6}


def test_what_the_plan_named_is_not_exploratory(tmp_path: Path) -> None:
    plan = Plan(secondary=("final",), at_budgets=(40,))
    curves = load_study(write_study(tmp_path / "s", make_study(["p"], plan=plan), {"good": 0.05, "bad": -0.05}).path)
    marked = {r.endpoint: r.exploratory for r in details(curves, at=[80]).secondary.rows}
    assert marked == {"aubc-log2": True, "final": False, "at 40": False, "at 80": True}


def test_endpoints_by_hand(table) -> None:  # type: ignore[no-untyped-def]
    rows = "random,0,1,.2\nrandom,0,2,.5\nrandom,0,8,.6\nx,0,1,.3\nx,0,2,.7\nx,0,8,.9\n"
    found = {r.endpoint: r for r in details(table(rows), at=[2]).secondary.rows}
    assert found["aubc-log2"].difference == pytest.approx((0.15 + 2 * 0.25) / 3)
    assert found["final"].difference == pytest.approx(0.3)
    assert found["at 2"].difference == pytest.approx(0.2)
    with pytest.raises(InputError, match="1, 2, 8"):
        details(table(rows), at=[3])


def test_unpaired_curves_have_unpaired_details(table) -> None:  # type: ignore[no-untyped-def]
    rows = "".join(
        f"{s},{seed},{b},{0.1 * seed + b / 100}\n"
        for s in ("random", "x")
        for seed in range(2 + (s == "x"))
        for b in (10, 20)
    )
    found = details(table(rows, mismatch="unpaired"))
    assert {r.effect for r in found.effects.rows} == {"A12"}
    assert not found.whole_curve.rows
    assert not found.bayes.rows
    assert [r.n for r in found.secondary.rows] == [2, 2]


@pytest.mark.parametrize(("seeds", "given"), [(9, False), (10, True)])
def test_a12_has_an_interval_only_where_it_covers(table, seeds: int, given: bool) -> None:  # type: ignore[no-untyped-def]
    rows = "".join(
        f"{s},{seed},10,{0.1 * ((7 * seed + (s == 'x')) % 5)}\n" for s in ("random", "x") for seed in range(seeds)
    )
    (a12,) = (r for r in details(table(rows)).effects.rows if r.effect == "A12")
    assert np.isfinite(a12.value)
    assert np.isfinite(a12.low) == np.isfinite(a12.high) == given


def test_no_data_at_all_still_answers(tmp_path: Path) -> None:
    study = make_study(["p"])
    folder = StudyFolder(tmp_path / "s")
    folder.adopt(study)
    found = details(load_study(folder.path))
    assert not any(part.rows for name, part in found.parts().items() if name != "effects")
    assert all(np.isnan(r.value) for r in found.effects.rows)


def test_same_seed_same_figures(folder: StudyFolder) -> None:
    curves = load_study(folder.path)
    assert details(curves).to_dict() == details(curves).to_dict()
    other = details(curves, np.random.default_rng(5)).bayes.rows[0]
    assert other.better == pytest.approx(details(curves).bayes.rows[0].better, abs=0.02)


def test_curves_are_arranged_once_per_protocol(table, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    calls: list[int] = []
    pivot = pd.DataFrame.pivot

    def counted(self: pd.DataFrame, **options: object) -> pd.DataFrame:
        calls.append(len(self))
        return pivot(self, **options)

    names = ("random", "margin", "entropy", "badge")
    rows = [
        f"{s},{seed},{b},{(seed * 7 + b + k) % 11 / 20}"
        for k, s in enumerate(names)
        for seed in range(8)
        for b in (10, 20)
    ]
    curves = table("\n".join(rows))
    monkeypatch.setattr(pd.DataFrame, "pivot", counted)
    details(curves)
    compare(curves)
    assert len(calls) <= len(curves.protocols) + 1  # and one empty table
