"""`beatrandom compare` on several sources and on packed studies, and the curves it draws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocol.seal.archive import pack
from protocol.seal.manifest import seal
from runners.verbs.results.sparks import BLOCKS, WIDEST, mean_curves, spark
from tests.support.front_door import beatrandom
from tests.support.study_builder import build_study


@pytest.fixture
def place(tmp_path: Path) -> Path:
    rows = "".join(
        f"{s},{seed},{b},{50 + seed + b / 10 + 4 * (s == 'mine')}\n"
        for s in ("random", "mine")
        for seed in range(4)
        for b in range(10, 30)
    )
    (tmp_path / "t.csv").write_text(f"strategy,seed,budget,value\n{rows}")
    folder = build_study(tmp_path / "study")
    seal(folder)
    pack(folder, tmp_path / "packed.tar.xz")
    return tmp_path


def test_several_sources_one_answer_each(place: Path) -> None:
    said = json.loads(beatrandom("compare", "study", "packed.tar.xz", "study", "--json", cwd=place).stdout)
    assert [c["source"] for c in said["comparisons"]] == ["study", "packed.tar.xz"]
    alone = json.loads(beatrandom("compare", "study", "--json", cwd=place).stdout)
    assert said["comparisons"] == [
        alone | {"source": name} for name in ("study", "packed.tar.xz")
    ]  # a packed study says what its folder says
    for form, head in (("--markdown", "## "), ("--latex", "% ")):
        text = beatrandom("compare", "t.csv", "study", form, cwd=place).stdout
        assert [
            line.rsplit(": ", 1)[1] for line in text.splitlines() if line.startswith(head) and "Metric" not in line
        ] == ["t.csv", "study"]


def test_curves_stand_beside_verdicts_on_one_scale(place: Path) -> None:
    text = beatrandom("compare", "t.csv", "study", cwd=place).stdout
    assert "small-study: study" in text
    mine = next(line for line in text.splitlines() if line.lstrip().startswith("mine"))
    blocks = "".join(c for c in mine if c in BLOCKS)
    assert len(blocks) == WIDEST
    assert (blocks[0], blocks[-1]) == ("▆", "█")  # 4 above random, of 5.9 in all
    assert "(random: ▁" in text


def test_faults_of_all_sources_are_answered_together(place: Path) -> None:
    (place / "empty").mkdir()
    said = beatrandom("compare", "empty", "no.csv", "study", cwd=place, check=2).stderr
    assert "empty" in said
    assert "no.csv" in said
    assert beatrandom("compare", "t.csv", "study", "--alpha", "2", cwd=place, check=2).stderr.count("--alpha") == 1


def test_a_spark_is_cut_and_leaves_gaps() -> None:
    assert spark([0.0, 0.5, 1.0, 2.0, -1.0, float("nan")], 0.0, 1.0) == "▁▅██▁ "
    assert spark([3.0, 3.0], 3.0, 3.0) == "▁▁"


def test_no_curve_where_there_is_one_budget(place: Path) -> None:
    from analysis.loading.table import load_table

    (place / "one.csv").write_text("strategy,seed,value\nrandom,0,1\nrandom,1,2\nmine,0,2\nmine,1,4\n")
    curves = load_table(place / "one.csv")
    assert mean_curves(curves, curves.protocols[0]) == {}
