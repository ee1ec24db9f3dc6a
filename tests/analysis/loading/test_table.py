"""Tables of any source: tidy, wide, without curves or seeds, and with every kind of gap."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.loading.table import load_table
from analysis.verdict.decide import compare
from analysis.verdict.sentences import summary
from analysis.verdict.verdict_table import to_markdown
from protocol.errors import InputError, NotDecidable
from protocol.spec.study import Plan
from tests.support.front_door import beatrandom

TIDY = "method,run,labels,acc\nRandom,0,10,.1\nRandom,0,20,.3\nRandom,1,10,.2\nRandom,1,20,.5\nx,0,10,.3\nx,0,20,.4\nx,1,10,.4\nx,1,20,.7\n"
WIDE = "method,run,b10,b20,note\nRandom,0,.1,.3,a\nRandom,1,.2,.5,\nx,0,.3,.4,\nx,1,.4,.7,\n"
MAP = {"strategy": "method", "seed": "run"}
DEMSAR = (
    "dataset,C4.5,+m\n" + "a,.763,.768\nb,.599,.591\nc,.954,.971\nd,.628,.661\ne,.882,.888\nf,.936,.931\ng,.661,.668\n"
    "h,.583,.583\ni,.775,.838\nj,1,1\nk,.940,.962\nl,.619,.666\nm,.972,.981\nn,.957,.978\n"
)


@pytest.fixture
def file(tmp_path: Path):  # type: ignore[no-untyped-def]
    def write(text: str, name: str = "t.csv") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_wide_and_tidy_tables_under_other_names_say_the_same(file) -> None:  # type: ignore[no-untyped-def]
    tidy = load_table(file(TIDY), baseline="Random", columns=MAP | {"budget": "labels", "value": "acc"})
    wide = load_table(file(WIDE), baseline="Random", columns=MAP, wide="budget")
    order = ["strategy", "seed", "budget"]
    one, other = (c.frame.sort_values(order).reset_index(drop=True)[[*order, "value"]] for c in (tidy, wide))
    pd.testing.assert_frame_equal(one, other)
    assert compare(tidy).verdicts == compare(wide).verdicts
    assert compare(tidy).verdicts[0].difference == pytest.approx(0.175)
    assert wide.notes == ("columns that are no budget were ignored: note",)


def test_parquet_says_what_csv_says(tmp_path: Path, file) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    frame = pd.read_csv(file(TIDY))
    frame.loc[0, "acc"] = None
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    mapped = {"strategy": "method", "seed": "run", "budget": "labels", "value": "acc"}
    csv, parquet = (
        load_table(tmp_path / f"t.{kind}", baseline="Random", columns=mapped) for kind in ("csv", "parquet")
    )
    pd.testing.assert_frame_equal(csv.frame, parquet.frame)
    assert csv.missing == parquet.missing
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="readable Parquet"):
        load_table(tmp_path / "bad.parquet")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="--extra parquet"):
        load_table(tmp_path / "t.parquet")


def test_one_value_per_data_set_is_paired_by_data_set(file) -> None:  # type: ignore[no-untyped-def]
    curves = load_table(file(DEMSAR), wide="strategy", baseline="C4.5", plan=Plan(test="wilcoxon"))
    comparison = compare(curves)
    (verdict,) = comparison.verdicts
    assert (verdict.n, curves.unit, curves.units[3], curves.has_curves) == (14, "data set", "d", False)
    # Demsar 2006, table 2: twelve data sets differ; 15 of 2048 sign patterns reach R- = 6.5 or less over the tied ranks
    assert verdict.p == 15 / 2048
    text = summary(comparison)
    assert "paired by data set (n = 14)" in text
    assert "in the value" in text
    assert set(curves.frame["dataset"]) == set("abcdefghijklmn")


def test_a_data_set_without_partner_is_named(file) -> None:  # type: ignore[no-untyped-def]
    comparison = compare(load_table(file("dataset,strategy,value\na,r,.5\nb,r,.6\nb,x,.7\n"), baseline="r"))
    assert [str(m) for m in comparison.missing] == ["all/x/a: no rows in the table"]
    assert "data set a has no partner" in comparison.unmatched[0]


GAPS = "random,0,10,.1\nrandom,0,20,.2\nrandom,1,10,.1\nrandom,1,20,\nrandom,2,10,.3\nrandom,2,20,.3\nx,0,10,.3\nx,0,20,.5\nx,1,10,.4\nx,1,20,.4\n"


def test_refuse_names_every_gap(table) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError) as raised:
        table(GAPS, mismatch="refuse")
    assert [(f.where.rsplit("/", 2)[1:], f.found) for f in raised.value.faults] == [
        (["random", "seed-1"], "none at budget 20"),
        (["x", "seed-2"], "no rows in the table"),
    ]
    assert "--mismatch" in raised.value.faults[-1].fix


def test_crop_keeps_the_budgets_that_all_runs_have(table) -> None:  # type: ignore[no-untyped-def]
    more = "".join(f"{s},{k},40,.6\n" for s, k in [("random", 0), ("random", 1), ("random", 2), ("x", 0), ("x", 1)])
    curves = table(GAPS + more, mismatch="crop")
    assert set(curves.frame["budget"]) == {10, 40}
    assert "cropped to the 2 of 3 budgets" in curves.warnings[0]
    assert "would lose 1 of 5 runs and no budget" in curves.warnings[0]
    assert [m.run.seed for m in curves.missing] == [2]
    (verdict,) = compare(curves).verdicts
    assert (verdict.n, verdict.difference) == (2, pytest.approx(0.125))


def test_unpaired_uses_every_seed_of_either_side(table) -> None:  # type: ignore[no-untyped-def]
    values = {"random": [0.1, 0.3, 0.25, 0.2], "x": [0.5, 0.4, 0.45]}
    rows = "".join(f"{s},{seed + 10 * (s == 'x')},10,{v}\n" for s, own in values.items() for seed, v in enumerate(own))
    comparison = compare(table(rows, mismatch="unpaired"))
    (verdict,) = comparison.verdicts
    assert comparison.missing == ()
    assert (verdict.n, verdict.test) == (3, "welch")
    assert verdict.difference == pytest.approx(0.45 - 0.2125)
    assert "unpaired" in comparison.notes[0]
    assert "two-sided Welch t test" in summary(comparison)
    assert not comparison.to_dict()["paired"]
    with pytest.raises(NotDecidable, match="--mismatch unpaired"):
        table(rows)


def test_curves_cropped_to_their_common_start_are_not_called_equal(table) -> None:  # type: ignore[no-untyped-def]
    rows = "".join(
        f"{s},{k},{b},{0.5 + 0.01 * k + (b > 100) * 0.1 * (s == 'x')}\n"
        for s, budgets in {"random": (100, 200, 300), "x": (100, 201, 302)}.items()
        for k in range(8)
        for b in budgets
    )
    with pytest.raises(InputError, match="loses 16 of 16 runs; cropping loses 4 of 5 budgets"):
        table(rows)
    with pytest.raises(NotDecidable, match="only 100, where the curves begin"):
        table(rows, mismatch="crop")


@pytest.mark.parametrize("mismatch", ["list", "drop", "crop", "unpaired"])
def test_a_strategy_without_runs_on_a_data_set_stays_in_the_family(table, mismatch: str) -> None:  # type: ignore[no-untyped-def]
    rows = "".join(
        f"{d},{s},{k},10,{0.5 + 0.01 * k + (0.02 + 0.001 * k) * (s == 'x')}\n"
        for d, s in (("a", "random"), ("a", "x"), ("b", "random"))
        for k in range(7)
    )
    comparison = compare(table(rows, "dataset,strategy,seed,budget,value", mismatch=mismatch))
    assert comparison.tests == 2
    answer = "undecided" if mismatch == "unpaired" else "better"
    assert [(v.protocol, v.answer, v.n) for v in comparison.verdicts] == [("a", answer, 7), ("b", "undecided", 0)]
    assert mismatch == "unpaired" or "No data: b/x" in comparison.warnings[0]
    assert "no data" in to_markdown(comparison)
    assert "1.0000" not in to_markdown(comparison).splitlines()[3]


def test_an_empty_cell_and_an_absent_row_are_one_gap_under_every_policy(file, table) -> None:  # type: ignore[no-untyped-def]
    rows = [
        f"{s},{k},{b},{0.5 + b / 100 + 0.01 * k}\n" for s in ("random", "x") for k in range(4) for b in (10, 20, 30)
    ]
    for mismatch in ("list", "drop", "crop", "unpaired"):
        empty = table("".join([*rows[:4], rows[4].rsplit(",", 1)[0] + ",\n", *rows[5:]]), mismatch=mismatch)
        absent = table("".join([*rows[:4], *rows[5:]]), mismatch=mismatch)
        pd.testing.assert_frame_equal(empty.frame, absent.frame)
        assert (empty.missing, empty.warnings) == (absent.missing, absent.warnings)
    with pytest.raises(InputError, match="loses 1 of 8 runs; cropping loses 1 of 3 budgets in all 8 runs"):
        table("".join([*rows[:4], *rows[5:]]), mismatch="refuse")


def test_no_seed_in_common_exits_with_3_and_no_p(file, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file(
        "strategy,seed,value\n"
        + "".join(f"{s},{k + 10 * (s == 'x')},{0.5 + 0.01 * k}\n" for s in ("random", "x") for k in range(5))
    )
    done = beatrandom("compare", "t.csv", cwd=tmp_path, check=3)
    assert "--mismatch unpaired" in done.stderr
    assert "1.0000" not in done.stdout
    beatrandom("compare", "t.csv", "--mismatch", "unpaired", cwd=tmp_path)


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        (TIDY, {"columns": {"strategie": "method"}}, "did you mean 'strategy'"),
        (TIDY, {"columns": {"strategy": "metod"}}, "did you mean 'method'"),
        (TIDY.replace("method", "kind"), {}, "--column OURS=THEIRS"),
        (WIDE, {"columns": MAP, "wide": "budgets"}, "did you mean 'budget'"),
        ("strategy,seed,value,10\nr,0,1,1\n", {"wide": "budget"}, "no columns budget and value"),
        ("strategy,seed,a\nr,0,1\n", {"wide": "budget"}, "columns that are budgets"),
        ("strategy,seed,b10,c10\nr,0,1,1\n", {"wide": "budget"}, "each budget in one column"),
        ("strategy,value\nrandom,1\n", {}, r"seed \(or dataset(.|\n)*Means alone cannot be tested"),
        ("budget,random,x\n10,.1,.2\n20,.2,.4\n", {}, r"seed \(or dataset(.|\n)*Means alone cannot be tested"),
        (
            "method,10,20\nrandom,.1,.2\nx,.2,.4\n",
            {"columns": {"strategy": "method"}, "wide": "budget"},
            "Means alone cannot be tested",
        ),
        ("strategy,seed,value,value\nrandom,0,1,2\n", {}, r"each column once(.|\n)*value more than once"),
        ("made by hand\nstrategy,seed,value\nrandom,0,1\n", {}, "remove lines above the header"),
        ("strategy,seed,budget,value\nrandom,0,100000000000000000000,1\n", {}, "csv:2: budget"),
        ("strategy,seed,budget,value\nrandom,1e300,10,1\n", {}, "csv:2: seed"),
        ("strategy,seed,budget,value\nrandom,,10,1\n", {}, "found: +an empty cell"),
        ("strategy,seed,value\n" + "random,0,81%\n" * 9, {}, r"csv:6: value(.|\n)*'81%', and 4 more cells like it"),
        ("strategy,seed,value\n" + "random,0,81%\n" * 5, {}, r"found: +'81%'\n"),
        ("\n\nstrategy,seed,value\nrandom,0,1\n\n,,\nx,0,bad\n", {}, "csv:7: value"),
        (
            "strategy,dataset,budget,value\nrandom,a,1,1\nx,a,1,2\nrandom,b,2,1\nx,b,2,1\n",
            {},
            r"(random|x) (a|b) \([12]\), (random|x) (a|b) \([12]\)",
        ),
        (
            "strategy,seed,budget,value\n"
            + "".join(f"{s},{k},{1 + (k > 19)},1\n" for s in ("random", "x") for k in range(39)),
            {},
            "and 26 more",
        ),
        ("strategy,dataset,value\nrandom,,1\n", {}, "a name, as there are no seeds"),
        ("strategy,dataset,value\nrandom,a,1\nrandom,a,2\n", {}, "repeated in lines 2, 3"),
        ("strategy,dataset,10\nrandom,a,1\nrandom,b,bad\n", {"wide": "budget"}, "csv:3: value"),
    ],
)
def test_bad_tables_are_explained(file, text: str, options: dict[str, Any], says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=says):
        load_table(file(text), **options)


def test_families_by_group(file) -> None:  # type: ignore[no-untyped-def]
    rows = "".join(
        f"{d},{r},{s},{seed},10,{0.5 + 0.1 * seed + (0.02 + 0.001 * seed) * (s == 'x')}\n"
        for d in "ab"
        for r in ("p", "q")
        for s in ("random", "x")
        for seed in range(7)
    )
    path = file(f"dataset,regime,strategy,seed,budget,value\n{rows}")
    for group, tests, names in (
        (None, 4, {""}),
        ("regime", 2, {"p", "q"}),
        ("dataset", 2, {"a", "b"}),
        ("protocol", 1, {"a/p", "a/q", "b/p", "b/q"}),
    ):
        comparison = compare(load_table(path, group=group))  # type: ignore[arg-type]
        assert comparison.tests == tests
        assert {v.group for v in comparison.verdicts} == names
        assert {round(v.p_adjusted / v.p) for v in comparison.verdicts} == {tests}


def test_values_that_are_no_shares_point_at_the_margins_unit(table) -> None:  # type: ignore[no-untyped-def]
    curves = table("random,0,10,81.5\nx,0,10,83\n", plan=Plan(delta=1.5))
    assert "margin of equivalence, 1.5" in curves.notes[0]


def test_unpaired_areas_that_differ_by_rounding_alone_have_no_spread(table) -> None:  # type: ignore[no-untyped-def]
    made = {
        "random": [(0.1, 0.1, 0.9), (0.2, 0.4, 0.2), (0.1, 0.1, 0.9)],
        "x": [(0.2, 0.4, 0.2), (0.1, 0.1, 0.9), (0.2, 0.4, 0.2)],
    }
    rows = "".join(
        f"{s},{k},{b},{v}\n"
        for s, curves in made.items()
        for k, c in enumerate(curves)
        for b, v in zip((10, 20, 30), c, strict=True)
    )
    (verdict,) = compare(table(rows, mismatch="unpaired", plan=Plan(delta=0.2))).verdicts
    assert (verdict.difference, verdict.sd, verdict.p, verdict.p_equivalence) == (
        0,
        0,
        1,
        5 / 20,
    )  # 1 of 6 choose 3 ways, times 5


TABLE = "strategy,seed,budget,value\nrandom,0,10,.1\nrandom,1,10,.3\nx,0,10,.3\nx,1,10,.4\n"


@pytest.mark.parametrize(
    "text",
    [
        TABLE.replace("\nrandom", "\nrandom ").replace("x,0", "x  ,0"),
        TABLE.replace(",.", " , ."),
        "strategy,seed,budget,value\n" + "".join(f"{row},\n" for row in TABLE.split("\n")[1:-1]),
        "strategy,seed,budget,value\n" + "".join(f"{i},{row}\n" for i, row in enumerate(TABLE.split("\n")[1:-1])),
        "\n" + TABLE.replace("\n", "\r\n"),
        TABLE.replace(",", "\t"),
        TABLE.replace("\n", "\n\n"),
    ],
    ids=[
        "spaces after names",
        "spaces around commas",
        "commas at the end",
        "names of rows, as R writes",
        "CRLF",
        "tabs",
        "blank lines",
    ],
)
def test_what_editors_and_spreadsheets_leave_behind_changes_nothing(file, text: str) -> None:  # type: ignore[no-untyped-def]
    pd.testing.assert_frame_equal(load_table(file(text)).frame, load_table(file(TABLE)).frame)
