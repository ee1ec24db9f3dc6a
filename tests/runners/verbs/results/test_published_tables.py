"""Published comparisons and awkward tables through `beatrandom compare`: the printed digits, or a clear refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import InputError
from runners.verbs.results.compare import compare
from tests.support.front_door import beatrandom

DEMSAR = """
.763 .768 .771 .798|.599 .591 .590 .569|.954 .971 .968 .967|.628 .661 .654 .657
.882 .888 .886 .898|.936 .931 .916 .931|.661 .668 .609 .685
.583 .583 .563 .625|.775 .838 .866 .875|1 1 1 1|.940 .962 .965 .962
.619 .666 .614 .669|.972 .981 .97501 .975|.957 .978 .946 .970
"""
"""AUC on 14 data sets (Demsar 2006, table 2); a tie of the last row but one broken as the paper ranks it."""
MAIZE = (6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75)


def wide(header: str, rows: list[str]) -> str:
    return f"dataset,{header}\n" + "".join(f"d{i},{','.join(row.split())}\n" for i, row in enumerate(rows))


@pytest.fixture
def compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def run(text: str, **options: Any) -> Any:
        path = tmp_path / "t.csv"
        path.write_text(text, encoding="utf-8")
        compare(sources=[path], details=True, json=True, markdown=False, latex=False, **options)
        found = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
        compare(sources=[path], details=True, json=False, markdown=False, latex=False, **options)  # in words, too
        assert capsys.readouterr().out
        return found

    return run


def test_demsars_table_as_it_is_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "auc.csv").write_text(
        wide("C4.5,C4.5+m,C4.5+cf,C4.5+m+cf", DEMSAR.strip().replace("\n", "|").split("|"))
    )
    found = json.loads(beatrandom("compare", "auc.csv", "--baseline", "C4.5", "--json", cwd=tmp_path).stdout)
    (table,) = found["across"]["ranks"]
    assert [round(r, 3) for r in table["friedman"]["mean_ranks"]] == [3.143, 2.0, 2.893, 1.964]
    assert (round(table["friedman"]["chi2"], 2), round(table["friedman"]["f"], 2)) == (9.28, 3.69)
    assert round(table["critical_difference"], 2) == 1.25
    assert (table["against_control"][0]["r_plus"], table["against_control"][0]["r_minus"]) == (93, 12)
    assert "--wide strategy" in found["notes"][0]
    (narrow,) = json.loads(
        beatrandom("compare", "auc.csv", "--baseline", "C4.5", "--alpha", "0.1", "--json", cwd=tmp_path).stdout
    )["across"]["ranks"]
    assert round(narrow["critical_difference"], 2) == 1.12


@pytest.mark.parametrize(("test", "p"), [("sign-flip", "0.0526733"), ("t", "0.0497"), ("wilcoxon", "0.0412598")])
def test_darwins_maize(compared: Callable[..., Any], test: str, p: str) -> None:
    text = "pot,crossed,selfed\n" + "".join(f"pair {i},{100 + d},100\n" for i, d in enumerate(MAIZE))
    found = compared(text, baseline="selfed", test=test)
    assert f"{found['verdicts'][0]['p']:.{len(p) - 2}f}" == p
    assert found["unit"] == "data set"


def test_friedman_and_nemenyi_of_textbooks(compared: Callable[..., Any]) -> None:
    rows = ["84.5 78.4 83.1", "82.8 79.1 79.9", "79.1 78.0 77.8", "80.2 76.0 77.9"]
    turned = [" ".join(column) for column in zip(*(row.split() for row in rows), strict=True)]
    assert round(compared(wide("x,y,z", rows), baseline="x")["across"]["ranks"][0]["friedman"]["chi2"], 9) == 6.5
    assert round(compared(wide("a,b,c,d", turned), baseline="a")["across"]["ranks"][0]["friedman"]["chi2"], 9) == 7.4
    pairs = ["4 7 6", "6 8 9", "3 6 7", "5 7 8", "4 9 8", "5 6 9"]
    p = compared(wide("A,B,C", pairs), baseline="A")["across"]["ranks"][0]["nemenyi"]
    assert (round(p[0][1], 4), round(p[0][2], 4), round(p[1][2], 3)) == (0.0545, 0.0109, 0.832)


def tidy(
    seeds: list[str],
    value: Callable[[str, int, int, int], object],
    budgets: tuple[int, ...] = (10, 20),
    places: int = 1,
) -> str:
    return "dataset,strategy,seed,budget,value\n" + "".join(
        f"d{d},{s},{seed},{b},{value(s, d, i, b)}\n"
        for d in range(places)
        for s in ("random", "mine")
        for i, seed in enumerate(seeds)
        for b in budgets
    )


def rising(s: str, d: int, i: int, b: int) -> float:
    return 0.5 + b / 100 + 0.01 * (i * 7 % 5) + 0.1 * d + (s == "mine") * (0.02 + 0.003 * (i * 3 % 4))


SIX = [str(i) for i in range(6)]
EIGHT = [str(i) for i in range(8)]


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        pytest.param(tidy(EIGHT, lambda *_: 0.512, places=2), ["equivalent"] * 2, id="constant and tied"),
        pytest.param(tidy(EIGHT, lambda *_: 0.5, places=2), ["undecided"] * 2, id="tied, coarser than the margin"),
        pytest.param(tidy(["0"], rising, places=2), ["undecided"] * 2, id="one seed"),
        pytest.param(tidy(["0"], rising, (10,)), ["undecided"], id="one value"),
        pytest.param(tidy([*map(str, range(8))], rising, (10,)), ["better"], id="one budget"),
        pytest.param(
            tidy([*map(str, range(8))], lambda *a: "" if a[2] == 3 else rising(*a)), ["better"], id="empty cells"
        ),
        pytest.param(tidy([f"run-{i}" for i in range(8)], rising), ["better"], id="seeds are labels"),
        pytest.param(tidy([str(2**70 + i) for i in range(8)], rising), ["better"], id="seeds beyond 64 bits"),
        pytest.param(tidy([str(2**60 + i) for i in range(8)], rising), ["better"], id="seeds beyond a float's digits"),
        pytest.param("dataset,random,mine\nx,.5,.6\n", ["undecided"], id="k = 2, N = 1"),
        pytest.param("random,mine\n.5,.6\n.4,.3\n", ["undecided"], id="no names of data sets"),
        pytest.param("Strategy;Seed;Value\nrandom;0;.5\nmine;0;.6\n", ["undecided"], id="semicolons and capitals"),
        pytest.param(
            tidy(SIX, lambda *_: "").replace(",random,0,10,", ",random,0,10,.5"), ["undecided"], id="nothing but holes"
        ),
    ],
)
def test_awkward_tables_have_defined_answers(compared: Callable[..., Any], text: str, answers: list[str]) -> None:
    assert [v["answer"] for v in compared(text)["verdicts"]] == answers


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("strategy,seed,value\nrandom,0,.5\nrandom,1,.6\n", "at least one strategy besides random"),
        (tidy(SIX, lambda *_: "1e300"), "at most 1e\\+100"),
        (tidy([*SIX, "x"], rising), "seed\n *expected: an integer"),
        ("name,kind,random,mine\na,b,1,2\n", "column dataset=name"),
        ("strategy;seed;value\nrandom;0;0,5\nmine;0;0.6\n", "'0,5'"),
    ],
)
def test_what_cannot_be_meant_is_refused(compared: Callable[..., Any], text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        compared(text)


def test_levers_without_bound_on_one_data_set_are_put_into_words(compared: Callable[..., Any]) -> None:
    level = {("p", "x"): 0.5, ("q", "x"): 0.9, ("p", "y"): 0.5, ("q", "y"): 0.1}
    text = "dataset,regime,strategy,seed,budget,value\n" + "".join(
        f"{d},{r},{s},{i},{b},{level[r, d] + b / 1000 + 0.001 * i + 0.001 * (s == 'mine')}\n"
        for r, d in level
        for s in ("random", "mine")
        for i in range(6)
        for b in (10, 20)
    )
    worth = {
        (row["dataset"], row["lever"]): row["labels_worth"]
        for row in compared(text)["across"]["levers"]
        if row["regime"] == "q"
    }
    assert worth["x", "regime"] == "inf"


def test_data_sets_are_compared_by_wilcoxon_unless_told_otherwise(compared: Callable[..., Any]) -> None:
    text = "dataset,random,mine\n" + "".join(f"d{i},.5,{0.52 + 0.01 * i:.2f}\n" for i in range(7))
    assert [compared(text, **o)["plan"]["test"] for o in ({}, {"test": "sign-flip"})] == ["wilcoxon", "sign-flip"]
    zeros = compared(text.replace(".5,0.52", ".5,0.50"))["verdicts"][0]
    assert zeros["smallest_p"] == 2**-5  # six differences that are not zero


def test_dependent_folds_take_the_corrected_t_test_or_are_refused(compared: Callable[..., Any]) -> None:
    text = tidy(EIGHT, rising, (10,))
    folds = compared(text, rho=0.1)
    assert (folds["plan"]["test"], folds["rho"], folds["verdicts"][0]["interval"]) == ("t", 0.1, "t")
    with pytest.raises(InputError, match="choose --test t"):
        compared(text, rho=0.1, test="wilcoxon")
