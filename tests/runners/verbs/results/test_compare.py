"""`beatrandom compare` on tables: what is typed, what comes back, what bad options are answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.front_door import beatrandom


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = "".join(
        f"{d},{s},{seed},{b},{50 + seed + b / 10 + (2 + 0.1 * seed) * (s == 'mine')}\n"
        for d in "ab"
        for s in ("Rand", "mine")
        for seed in range(8)
        for b in (10, 20, 40)
    )
    (tmp_path / "t.csv").write_text(f"data,strategy,seed,budget,value\n{rows}")
    return tmp_path


def test_a_table_with_every_option(folder: Path) -> None:
    words = [
        "t.csv",
        "--baseline",
        "Rand",
        "--column",
        "dataset=data",
        "--delta",
        "1.5",
        "--alpha",
        "0.1",
        "--correction",
        "hommel",
    ]
    done = json.loads(beatrandom("compare", *words, "--group", "dataset", "--test", "t", "--json", cwd=folder).stdout)
    assert [(v["protocol"], v["group"], v["answer"]) for v in done["verdicts"]] == [
        ("a", "a", "better"),
        ("b", "b", "better"),
    ]
    assert (done["plan"]["delta"], done["plan"]["correction"], done["plan"]["alpha"], done["tests"]) == (
        1.5,
        "hommel",
        0.1,
        1,
    )
    assert done["exploratory"]
    assert "Hommel" in beatrandom("compare", *words, cwd=folder).stdout


def test_details_in_every_form(folder: Path) -> None:
    words = ["t.csv", "--baseline", "Rand", "--column", "dataset=data", "--at", "20", "--details"]
    found = json.loads(beatrandom("compare", *words, "--json", "--rho", "0.1", cwd=folder).stdout)
    assert {r["endpoint"] for r in found["secondary"]} == {"aubc-log2", "final", "at 20"}
    assert {r["model"] for r in found["bayes"]} == {"signed-rank", "correlated t, rho 0.1"}
    assert len(found["band"]) == 6
    assert found["across"]["datasets"] == ["a", "b"]
    for form, mark in ((["--latex"], "% Effect sizes"), (["--markdown"], "## Effect sizes"), ([], "Effect sizes")):
        assert mark in beatrandom("compare", *words, *form, cwd=folder).stdout
    assert "--at" in beatrandom("compare", *words, "--at", "25", cwd=folder, check=2).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--alpha", "2", "--delta", "-1", "--rho", "1", "--correction", "hom"],
            ["--alpha", "--delta", "did you mean 'holm'"],
        ),
        (["--mismatch", "corp"], ["did you mean 'crop'"]),
        (["--column", "dataset"], ["OURS=THEIRS"]),
        (["--column", "dataset=data", "--column", "dataset=data"], ["each of our names once"]),
        (["--baseline", "Random", "--column", "dataset=data"], ["did you mean 'Rand'"]),
        (["--group", "seed"], ["--group"]),
    ],
)
def test_bad_options_are_answered_together(folder: Path, words: list[str], said: list[str]) -> None:
    done = beatrandom("compare", "t.csv", *words, cwd=folder, check=2)
    assert all(s in done.stderr for s in said)


@pytest.mark.parametrize("name", ["shaffer", "bergmann-hommel"])
def test_a_correction_for_all_pairs_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("dataset,random,a\n" + "".join(f"d{i},.{i + 10},.{i + 20}\n" for i in range(8)))
    result = beatrandom("compare", str(table), "--correction", name, cwd=tmp_path, check=2)
    assert "it equals with one baseline" in " ".join(result.stderr.split())


def test_all_pairs_over_data_sets_are_in_the_details(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    rows = (f"d{i},.{i + 10}00,.{i + 10}{i + 10},.{i + 30}0{i % 3}\n" for i in range(12))
    table.write_text("dataset,random,a,b\n" + "".join(rows))
    result = beatrandom("compare", str(table), "--details", cwd=tmp_path)
    assert "all 3 pairs (Wilcoxon): 3 by Holm, 3 by Shaffer, 3 by Bergmann-Hommel differ" in " ".join(
        result.stdout.split()
    )
    assert "Bergmann-Hommel" in beatrandom("compare", str(table), "--details", "--markdown", cwd=tmp_path).stdout


def test_intervals_stay_at_95_per_cent_and_say_so_at_another_alpha(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("dataset,random,a\n" + "".join(f"d{i},.{i + 10},.{i + 20}\n" for i in range(8)))
    words = [
        " ".join(beatrandom("compare", str(table), *o, cwd=tmp_path).stdout.split()) for o in ([], ["--alpha", ".1"])
    ]
    assert ["not at alpha 0.1" in w for w in words] == [False, True]
