"""`compare --columns`, and the options of intake, through the front door."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.analysis.loading.test_layouts import NAMES, ROWS, lines
from tests.support.front_door import beatrandom
from tests.support.study_builder import build_study


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "plain.csv").write_text(lines([(*row, "x") for row in ROWS], (*NAMES[:3], "WER", "note")))
    (tmp_path / "bare.csv").write_text(lines(ROWS))
    for s in ("random", "margin"):
        (tmp_path / f"{s}.csv").write_text(lines([row[1:] for row in ROWS if row[0] == s], NAMES[1:]))
    return tmp_path


def test_every_column_and_fact_is_shown_and_nothing_computed(place: Path) -> None:
    said = beatrandom("compare", "plain.csv", "--columns", cwd=place).stdout
    assert "WER: lower is better (known by its name)" in said
    assert "not used" in said
    assert "0 to 6 (7)" in said
    assert "100, 200, 400" in said
    assert "14 complete of 14" in said
    assert "beats" not in said


def test_the_same_as_json(place: Path) -> None:
    said = json.loads(beatrandom("compare", "bare.csv", "--columns", "--json", cwd=place).stdout)
    assert [c["role"] for c in said["columns"]] == ["strategy", "seed", "budget", "value"]
    assert said["budgets"] == {"all": [100, 200, 400]}
    assert said["strategies"] == ["random", "margin"]
    several = json.loads(beatrandom("compare", "bare.csv", "plain.csv", "--columns", "--json", cwd=place).stdout)
    assert len(several["sources"]) == 2


def test_what_cannot_be_understood_shows_how_far_it_went(place: Path) -> None:
    (place / "bad.csv").write_text("al,seed,budget,acc\nrandom,0,1,.5\n")
    done = beatrandom("compare", "bad.csv", "--columns", cwd=place, check=2)
    assert "by its name" in done.stdout
    assert "--column strategy=al" in done.stderr


def test_a_study_is_described_too(tmp_path: Path) -> None:
    build_study(tmp_path / "study")
    said = beatrandom("compare", "study", "--columns", cwd=tmp_path).stdout
    assert "strategies" in said
    assert "budgets" in said


def test_strategies_from_files_in_compare_figures_and_report(place: Path) -> None:
    files = ("random.csv", "margin.csv", "--name-from", "file")
    assert "margin beats random" in beatrandom("compare", *files, cwd=place).stdout
    beatrandom("figures", *files, "--only", "verdicts", "--format", "svg", "--out", "out", cwd=place)
    assert (place / "out" / "verdicts.svg").exists()
    beatrandom("report", *files, "--out", "r.html", cwd=place)
    assert "margin" in (place / "r.html").read_text(encoding="utf-8")
    done = beatrandom("compare", "plain.csv", "random.csv", "--name-from", "file", cwd=place, check=2)
    assert "column strategy" in done.stderr
    assert "--name-from file" in beatrandom("figures", "random.csv", "margin.csv", cwd=place, check=2).stderr
    assert "--name-from" in beatrandom("compare", ".", cwd=place, check=2).stderr


def test_the_area_is_said_and_in_the_json(place: Path) -> None:
    said = beatrandom("compare", "bare.csv", "--aubc", "mean", cwd=place).stdout
    assert "mean value over the budgets" in said
    assert "area under" not in said
    published = beatrandom("compare", "bare.csv", "--aubc", "published-1000", cwd=place).stdout
    assert "divided by 1000" in published
    assert "the margin of equivalence is in this unit" in published
    both = json.loads(beatrandom("compare", "bare.csv", "--aubc", "mean", "--json", cwd=place).stdout)
    assert (both["area"], both["endpoint"]) == ("mean", "mean value over the budgets")
    wrong = beatrandom("compare", "bare.csv", "--aubc", "sum", "--name-from", "disk", cwd=place, check=2)
    assert "published-10000" in wrong.stderr
    assert "one of" in wrong.stderr


def test_another_area_than_planned_is_exploratory(tmp_path: Path) -> None:
    build_study(tmp_path / "study")
    said = beatrandom("compare", "study", "--aubc", "mean", cwd=tmp_path).stdout
    assert "changed after planning: area" in said


def test_budgets_from_zero_give_no_fault(place: Path) -> None:
    zero = {100: 0, 200: 10, 400: 20}
    high = lines([(s, k, zero[b], v + (0.5 if s == "margin" else 0)) for s, k, b, v in ROWS], NAMES)
    (place / "zero.csv").write_text(high)
    said = json.loads(beatrandom("compare", "zero.csv", "--details", "--json", cwd=place).stdout)
    assert "aubc-log2" not in json.dumps(said)
    beatrandom("figures", "zero.csv", "--only", "labels-saved", "--format", "svg", "--out", "out", cwd=place)
