"""Other analyses of the same runs, and several studies as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.loading.combine import combine
from analysis.loading.records import load_study
from analysis.secondary.effort import effort
from analysis.secondary.robustness import Variant, answers, changes, restrict_seeds, variants
from analysis.verdict.decide import compare
from protocol.record.layout import StudyFolder
from protocol.seal.archive import pack
from protocol.seal.manifest import seal
from tests.analysis.simulated import curve, make_study, write_run, write_study

GAINS = {"good": 0.02, "bad": -0.02}


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    write_study(tmp_path / "s", make_study(seeds=10), GAINS)
    return tmp_path / "s"


def test_the_first_column_is_the_plans_own_answer(whole: Path) -> None:
    curves = load_study(whole)
    table = answers(curves, variants(curves.plan, tuple(range(10))))
    assert table["as planned"].to_dict() == {(v.protocol, v.strategy): v.answer for v in compare(curves).verdicts}
    wide = table["margin 0.02"]
    assert (wide.eq("undecided").sum()) <= table["as planned"].eq("undecided").sum()


def test_changed_and_opposite_answers_are_counted(whole: Path) -> None:
    curves = load_study(whole)
    table = answers(curves, [Variant("as planned", curves.plan), Variant("three seeds", curves.plan, (0, 1, 2))])
    assert set(table["three seeds"]) == {"undecided"}  # a sign-flip test of three pairs cannot reject
    found = changes(table).set_index("variant").loc["three seeds"]
    decided = int((table["as planned"] != "undecided").sum())
    assert (found["other answer"], found["opposite answer"]) == (decided, 0)
    assert decided


def test_restrict_seeds_seeds_are_as_if_no_others_had_been_planned(whole: Path) -> None:
    part = restrict_seeds(load_study(whole), (1, 4))
    assert set(part.frame["seed"]) == {1, 4}
    assert part.complete == len(part.planned) == 2 * 3 * 2


def test_studies_are_pooled_by_protocol_and_marked_exploratory(whole: Path, tmp_path: Path) -> None:
    write_study(tmp_path / "t", make_study(protocols=("uda",), seeds=4), GAINS)
    one, two = load_study(whole), load_study(tmp_path / "t")
    both = combine([one, two], "both")
    assert both.protocols == ("plain", "augmented", "uda")
    assert both.exploratory
    assert both.currencies == dict.fromkeys(both.protocols, "labels")
    assert both.steps == dict.fromkeys(both.protocols, 1 / 20_000)
    assert len(both.frame) == len(one.frame) + len(two.frame)
    with pytest.raises(ValueError, match="plain"):
        combine([one, one], "twice")


def test_effort_is_summed_over_sealed_runs_of_a_folder_or_a_packed_study(tmp_path: Path) -> None:
    study = make_study(protocols=("plain",), seeds=2)
    folder = StudyFolder(tmp_path / "s")
    folder.adopt(study)
    for strategy in study.strategies:
        write_run(folder, study.protocols[0], strategy, 0, curve(0, 0.0))
    write_run(folder, study.protocols[0], study.strategies[0], 1, curve(0, 0.0), end="open")
    spent = effort(folder.path)
    assert spent.runs == 3
    assert spent.table["train_s"].tolist() == [4 * 9.0] * 3
    assert spent.table["choose_s"].tolist() == [pytest.approx(4 * 0.5 + 0.25 * (1 + 2 + 3 + 4))] * 3
    seal(folder)
    pack(folder, tmp_path / "s.tar.xz")
    assert effort(tmp_path / "s.tar.xz").table.equals(spent.table)
