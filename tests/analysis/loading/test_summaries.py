"""Rows that summarise the others are no data sets, seeds or strategies: by name, by value, in every form of a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.loading.summaries import named_like_a_summary
from analysis.loading.table import load_table
from analysis.verdict.decide import compare
from protocol.errors import InputError
from tests.support.front_door import beatrandom

FIVE = "dataset,random,margin\nCIFAR-10,0.861,0.872\nCIFAR-100,0.602,0.609\nSVHN,0.901,0.913\nMNIST,0.951,0.953\nTiny,0.412,0.421\n"
SEEDS = "".join(
    f"{s},{k},{b},{0.5 + b / 1000 + 0.0137 * ((3 * k) % 7) + (0.02 + 0.0011 * k) * (s == 'margin') + 0.005 * (s == 'bald'):.4f}\n"
    for s in ("random", "margin", "bald")
    for k in range(7)
    for b in (100, 200, 400)
)
HEADER = "strategy,seed,budget,value\n"


@pytest.fixture
def load(tmp_path: Path):  # type: ignore[no-untyped-def]
    def of(text: str, **options: object):  # type: ignore[no-untyped-def]
        (tmp_path / "t.csv").write_text(text, encoding="utf-8")
        return load_table(tmp_path / "t.csv", **options)  # type: ignore[arg-type]

    return of


@pytest.mark.parametrize(
    "row",
    [
        "Average,0.745,0.754",
        "Overall,.1,.9",
        "Ø,0.745,0.754",
        "Avg. rank,2,1",
        "mean (all),0.745,0.754",
        "Median,0.861,0.872",
        "TOTAL,3.727,3.768",
        "encoded,0.7,0.8",
        "std,0.2,0.2",
        "macro average,0.745,0.754",
        "benchmark,0.745,0.754",
        "benchmark,0.7454,0.7536",
        "together,3.727,3.768",
    ],
)
def test_a_summary_row_is_no_data_set(load, row: str) -> None:  # type: ignore[no-untyped-def]
    plain, more = compare(load(FIVE)), compare(load(FIVE + row + "\n"))
    assert more.verdicts == plain.verdicts
    assert (plain.verdicts[0].n, plain.verdicts[0].answer) == (5, "undecided")
    (warning,) = more.warnings
    assert row.split(",")[0] in warning
    assert "--keep-summary" in warning
    assert compare(load(FIVE + row + "\n", keep_summary=True)).verdicts[0].n == 6


def test_a_column_that_averages_the_data_sets_is_left_out(load) -> None:  # type: ignore[no-untyped-def]
    text = "strategy,seed,a,b,c,Average\n" + "".join(
        f"{s},{k},{a},{b},{c},{(a + b + c) / 3:.4f}\n"
        for s in ("random", "x")
        for k in range(6)
        for a, b, c in [(0.5 + 0.013 * k, 0.7 - 0.007 * k, 0.8 + 0.02 * (s == "x"))]
    )
    assert load(text, wide="dataset").protocols == ("a", "b", "c")
    assert load(text.replace("Average", "sum up"), wide="dataset").protocols == ("a", "b", "c")
    assert len(load(text, wide="dataset", keep_summary=True).protocols) == 4


@pytest.mark.parametrize("name", ["Average", "mean", "all strategies"])
def test_a_column_that_averages_the_strategies_is_no_strategy(load, name: str) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(3)
    lines = [f"dataset,random,x,y,{name}"]
    for d in range(7):
        v = np.round(rng.uniform(0.4, 0.9) + rng.normal(0, 0.03, 3), 4)
        lines.append(f"d{d},{v[0]},{v[1]},{v[2]},{v.mean():.4f}")
    assert load("\n".join(lines) + "\n").strategies == ("random", "x", "y")


@pytest.mark.parametrize("name", ["mean", "avg", "std", "99"])
def test_a_seed_that_is_the_mean_of_the_others_is_no_seed(load, name: str) -> None:  # type: ignore[no-untyped-def]
    import pandas as pd

    rows = [line.split(",") for line in SEEDS.splitlines()]
    frame = pd.DataFrame(rows, columns=["s", "k", "b", "v"]).astype({"v": float})
    fold = "std" if name == "std" else "mean"
    means = frame.groupby(["s", "b"])["v"].agg(fold).round(4).reset_index()
    more = "".join(f"{s},{name},{b},{v}\n" for s, b, v in means.itertuples(index=False))
    plain, with_mean = compare(load(HEADER + SEEDS)), compare(load(HEADER + SEEDS + more))
    assert with_mean.verdicts == plain.verdicts
    assert f"'{name}'" in with_mean.warnings[0]


def test_a_total_with_empty_cells_is_left_out(load) -> None:  # type: ignore[no-untyped-def]
    assert compare(load(HEADER + SEEDS + "Total,,,0.56\n")).verdicts == compare(load(HEADER + SEEDS)).verdicts


def test_a_spread_beside_each_strategy_is_no_strategy(load) -> None:  # type: ignore[no-untyped-def]
    lines = FIVE.splitlines()
    text = "\n".join([f"{lines[0]},random_std,margin std", *(f"{line},0.01,0.02" for line in lines[1:])]) + "\n"
    assert load(text).strategies == ("random", "margin")


@pytest.mark.parametrize(
    "name",
    ["mean-teacher", "all-conv", "margin", "variance", "mean std", "std", "total variation", "max entropy", "rank-2"],
)
def test_real_strategies_stay(load, name: str) -> None:  # type: ignore[no-untyped-def]
    assert not named_like_a_summary(name, "strategy")
    assert name in load(FIVE.replace("margin", f"{name},other") .replace("872", "872,.8").replace("609", "609,.7")
                        .replace("913", "913,.9").replace("953", "953,.95").replace("421", "421,.4")).strategies  # fmt: skip


@pytest.mark.parametrize(
    "name", ["Overall Quality", "mean-shift blobs", "all-MNIST", "Average Images", "Total Text", "Micro-ImageNet"]
)
def test_real_data_sets_stay(load, name: str) -> None:  # type: ignore[no-untyped-def]
    curves = load(FIVE.replace("SVHN", name))
    assert name in curves.units.values()
    assert not curves.warnings


def test_random_tables_lose_no_row(load) -> None:  # type: ignore[no-untyped-def]
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(150):
        rows, columns, digits = int(rng.integers(3, 12)), int(rng.integers(2, 7)), int(rng.integers(2, 5))
        base = rng.uniform(0.4, 0.9, (rows, 1))
        values = (base + rng.normal(0, 0.02, (rows, columns))).round(digits)
        head = "dataset,random," + ",".join(f"s{i}" for i in range(columns - 1))
        body = "\n".join(f"d{i}," + ",".join(map(str, row)) for i, row in enumerate(values))
        wrong += bool(load(f"{head}\n{body}\n").warnings)
    assert wrong == 0


@pytest.mark.parametrize(
    "rows", ["a,3,1,2\nb,3,2,1\nc,1,2,3\n", "a,1.5,1.5,3\nb,2,1,3\n", "a,2.2,1.3,2.5\nb,2.6,1.1,2.3\n"]
)
def test_ranks_in_the_place_of_values_are_asked_about(load, rows: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = "dataset,random,x,y\n" + rows
    with pytest.raises(InputError, match="--lower-is-better"):
        load(text)
    assert load(text, better="lower").directions["all"].better == "lower"
    assert "ranks" in beatrandom("compare", "t.csv", cwd=tmp_path, check=2).stderr


def test_the_command_says_what_was_left_out_before_the_verdicts(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(FIVE + "Average,0.745,0.754\n")
    text = beatrandom("compare", "t.csv", cwd=tmp_path).stdout
    assert text.index("Left out") < text.index("undecided")
    assert '"Left out' in beatrandom("compare", "t.csv", "--json", cwd=tmp_path).stdout
    assert "Left out" not in beatrandom("compare", "t.csv", "--keep-summary", cwd=tmp_path).stdout
    for form in ("--markdown", "--latex"):
        assert "Left out" in beatrandom("compare", "t.csv", form, cwd=tmp_path).stdout


@pytest.mark.parametrize(
    "row",
    [
        "Geo. mean,0.7120,0.7208",
        "harmonic mean,0.6747,0.6841",
        "score,0.7120,0.7208",  # geometric means under a name that says nothing
        "score,0.6747,0.6841",  # harmonic means
    ],
)
def test_other_means_are_no_data_sets_either(load, row: str) -> None:  # type: ignore[no-untyped-def]
    left = load(f"{FIVE}{row}\n").frame
    assert sorted(left.loc[left["strategy"] == "random", "value"]) == [0.412, 0.602, 0.861, 0.901, 0.951]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_column_of_differences_is_no_strategy(load, sign: int) -> None:  # type: ignore[no-untyped-def]
    rows = [("A", 0.50, 0.61), ("B", 0.70, 0.75), ("C", 0.20, 0.32), ("D", 0.81, 0.83), ("E", 0.44, 0.52)]
    text = "dataset,random,margin,gain\n" + "".join(f"{n},{r},{m},{sign * (m - r):.2f}\n" for n, r, m in rows)
    curves = load(text)
    assert sorted(set(curves.frame["strategy"])) == ["margin", "random"]
    (warning,) = compare(curves).warnings
    assert "the difference of margin and random" in warning
