"""Other layouts: no header, one file per strategy, seeds as columns, exports of trackers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.loading.curves import Curves
from analysis.loading.run_names import run_of, split_run
from analysis.loading.table import load_table
from analysis.verdict.decide import compare
from protocol.errors import InputError

SEEDS, BUDGETS, NAMES = range(7), (100, 200, 400), ("strategy", "seed", "budget", "value")
VALUE = {
    (s, k, b): round(0.3 + b / 1000 + 0.013 * k + (0.02 + 0.001 * k) * (s == "margin"), 4)
    for s in ("random", "margin")
    for k in SEEDS
    for b in BUDGETS
}
ROWS = [(*key, value) for key, value in VALUE.items()]
Write = Callable[..., Path]


def lines(rows: Sequence[Sequence[object]], names: Sequence[object] = (), mark: str = ",") -> str:
    return "".join(mark.join(map(str, row)) + "\n" for row in ([names, *rows] if names else rows))


def same(curves: Curves) -> Curves:
    """Assert that curves hold exactly the values of the tidy table."""
    keys = curves.frame[["strategy", "seed", "budget"]].itertuples(index=False, name=None)
    assert dict(zip(keys, curves.frame["value"], strict=True)) == VALUE
    return curves


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "t.csv", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding=encoding, newline="")
        return path

    return write


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", " "])
def test_without_a_header_no_row_is_lost(write: Write, mark: str) -> None:
    curves = same(load_table(write(lines(ROWS, mark=mark))))
    assert "no header: the first row is read as data" in curves.notes[0]
    assert "column 1 is strategy, column 4 is value, column 2 is seed, column 3 is budget" in curves.notes[1]


def test_columns_without_a_header_in_any_order(write: Write) -> None:
    same(load_table(write(lines([(v, b, k, s) for s, k, b, v in ROWS]))))
    with_rows = same(load_table(write(lines([(i, "digits", *row) for i, row in enumerate(ROWS)]))))
    assert with_rows.places == {"digits": ("digits", "")}
    same(load_table(write(lines([(*row, "accuracy") for row in ROWS]))))


@pytest.mark.parametrize(
    ("rows", "columns", "asks"),
    [
        ([(s, k, BUDGETS.index(b), v) for s, k, b, v in ROWS], {}, "--column seed=2 --column budget=3"),
        ([(s, k, b, int(v * 1000)) for s, k, b, v in ROWS], {}, "--column value=4"),
        ([(s, s, k, b, v) for s, k, b, v in ROWS], {}, "--column strategy=1"),
        ([(s, b, v) for s, k, b, v in ROWS if not k], {}, "--column seed=2 or --column budget=2"),
        ([(s, k, b, v, v / 2) for s, k, b, v in ROWS], {}, "--column value=5"),
        ([(s, 11 * k + 42, b, v) for s, k, b, v in ROWS], {}, "--column seed=2 --column budget=3"),
        (ROWS, {"seed": "9"}, "column 9"),
    ],
)
def test_what_content_cannot_tell_is_asked(write: Write, rows: Any, columns: dict[str, str], asks: str) -> None:
    with pytest.raises(InputError, match=asks):
        load_table(write(lines(rows)), columns=columns)


def test_columns_are_named_by_number_or_by_a_header_that_looks_like_data(write: Write) -> None:
    path = write(lines([(s, 11 * k + 42, b, v) for s, k, b, v in ROWS]))
    curves = load_table(path, columns={"seed": "2", "budget": "3"})
    assert sorted(set(curves.frame["seed"])) == [11 * k + 42 for k in SEEDS]
    assert curves.directions["all"].metric == "value"
    odd = write(lines([(s, k, b, v) for s, k, b, v in ROWS], ("who", "7", "8", "9.5")))
    same(load_table(odd, columns={"strategy": "who", "seed": "7", "budget": "8", "value": "9.5"}))


def test_one_file_per_strategy(write: Write) -> None:
    for header in (NAMES[1:], ()):
        files = [
            write(lines([row[1:] for row in ROWS if row[0] == s], header), f"{s}.csv") for s in ("random", "margin")
        ]
        curves = same(load_table(files, name_from="file"))
        assert any("strategies are the names of the files: random, margin" in note for note in curves.notes)
    files = [write("seed,budget,value\n0,100,.5\n", "random.csv"), write("seed,budget,value\n0,100,x\n", "margin.csv")]
    with pytest.raises(InputError, match=r"margin\.csv:2: value"):
        load_table(files, name_from="file")


def test_one_folder_per_strategy_and_one_per_run(write: Write, tmp_path: Path) -> None:
    for s in ("random", "margin"):
        write(lines([row[1:] for row in ROWS if row[0] == s], NAMES[1:]), f"whole/{s}/log.csv")
        for k in SEEDS:
            own = lines([row[2:] for row in ROWS if row[:2] == (s, k)], NAMES[2:])
            write(own, f"deep/{s}/seed{k}/log.csv")
            write(own, f"flat/{s}/{k}.csv")
            write(own, f"files/digits_{s}_seed{k}.csv")
    for folder in ("whole", "deep", "flat"):
        same(load_table(tmp_path / folder, name_from="folder"))
    curves = same(load_table(tmp_path / "files", name_from="file"))
    assert "what all names share is left out: digits_margin is margin" in " ".join(curves.notes)
    with pytest.raises(InputError, match="a different name of every file"):
        load_table(tmp_path / "whole", name_from="file")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (lines(ROWS, NAMES), "column strategy"),
        (lines(ROWS), "column 1"),
        ("seed,random,x\n0,.1,.2\n", "column random"),
        ("seed,budget,score\n0,1,.1\n", "no column value"),
        ("a,b\n1,2\n", "the same columns in every file"),
    ],
)
def test_files_that_name_strategies_or_do_not_fit_are_refused(write: Write, text: str, says: str) -> None:
    first = write("seed,budget,value\n0,1,.5\n", "random.csv")
    with pytest.raises(InputError, match=says):
        load_table([first, write(text, "x.csv")], name_from="file")


@pytest.mark.parametrize("name", ["seed{}", "seed_{}", "s{}", "run {}", "Fold-{}", "{}", "acc_seed{}", "rep{}_acc"])
def test_seeds_as_columns_are_recognised_and_said(write: Write, name: str) -> None:
    places = [(s, b) for s in ("random", "margin") for b in BUDGETS]
    rows = [(i, s, b, *(VALUE[s, k, b] for k in SEEDS)) for i, (s, b) in enumerate(places)]
    header = ("", "strategy", "budget", *(name.format(k) for k in SEEDS))
    curves = same(load_table(write(lines(rows, header))))
    assert any("read as one column per seed" in note for note in curves.notes)
    assert any("an index is no seed" in note for note in curves.notes)
    assert curves.directions["all"].metric == ("acc" if "acc" in name else "value")


def test_seeds_of_several_metrics_as_columns(write: Write) -> None:
    names = [f"{m}_seed{k}" for m in ("acc", "f1") for k in SEEDS]
    rows = [(s, b, *[VALUE[s, k, b] for k in SEEDS], *[0.5] * 7) for s in ("random", "margin") for b in BUDGETS]
    path = write(lines(rows, ("strategy", "budget", *names)))
    same(load_table(path, metric="acc"))
    with pytest.raises(InputError, match="acc, f1"):
        load_table(path)


def test_budgets_as_columns_are_recognised_and_what_could_be_either_is_asked(write: Write) -> None:
    rows = [(s, k, *(VALUE[s, k, b] for b in BUDGETS)) for s in ("random", "margin") for k in SEEDS]
    same(load_table(write(lines(rows, ("strategy", "seed", *BUDGETS)))))
    doubtful = write(lines(rows, ("strategy", "dataset", 1, 2, 3)))
    with pytest.raises(InputError, match="--wide seed, or --wide budget"):
        load_table(doubtful)
    assert load_table(doubtful, wide="budget").unit == "data set"


def test_columns_of_means_and_spreads_beside_seeds_are_no_seeds(write: Write) -> None:
    rows = [(s, b, *(VALUE[s, k, b] for k in SEEDS), 0.5, 0.1) for s in ("random", "margin") for b in BUDGETS]
    curves = same(load_table(write(lines(rows, ("strategy", "budget", *(f"seed{k}" for k in SEEDS), "mean", "std")))))
    assert "columns that summarise the others were ignored: mean, std" in curves.notes


def panel(runs: Sequence[str], rows: Sequence[Sequence[object]], ends: bool = True) -> str:
    names = [f"{run} - acc{end}" for run in runs for end in (("", "__MIN", "__MAX") if ends else ("",))]
    quoted = [[f'"{cell}"' for cell in row] for row in [["Step", *names], *rows]]
    return lines(quoted)


@pytest.mark.parametrize("name", ["{}-seed{}", "{}_s{}", "exp1 {} run {}", "{}-{}"])
def test_panels_of_weights_and_biases(write: Write, name: str) -> None:
    keys = [(s, k) for s in ("random", "margin") for k in SEEDS]
    ends = "exp1" not in name
    rows = [[b, *(v for s, k in keys for v in [VALUE[s, k, b]] * (3 if ends else 1))] for b in BUDGETS]
    curves = same(load_table(write(panel([name.format(s, k) for s, k in keys], rows, ends))))
    assert "Weights & Biases export of 14 runs: Step is read as the budget" in curves.notes[0]
    assert curves.directions["all"].metric == "acc"


@pytest.mark.parametrize("runs", [("random", "margin"), ("sunny-river-12", "happy-dog-13")])
def test_groups_and_nameless_runs_of_weights_and_biases_are_refused(write: Write, runs: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="ungroup the panel, because means alone cannot be tested"):
        load_table(write(panel(runs, [[1, 0.5, 0.4, 0.6, 0.5, 0.4, 0.6]])))


def test_time_is_no_budget(write: Write) -> None:
    text = panel(["random-s0", "margin-s0"], [[1, 0.5, 0.6]], ends=False)
    with pytest.raises(InputError, match="time is no budget"):
        load_table(write(text.replace("Step", "Relative Time (Process)")))


@pytest.mark.parametrize("name", ["{}_seed{}.csv", "run-{}_seed{}-tag-test_acc.csv", "{}/seed_{}/test_acc.csv"])
def test_scalars_of_tensorboard_are_one_table(write: Write, name: str) -> None:
    files = [
        write(
            lines([(1.6e9 + b, b, VALUE[s, k, b]) for b in BUDGETS], ("Wall time", "Step", "Value")), name.format(s, k)
        )
        for s in ("random", "margin")
        for k in SEEDS
    ]
    curves = same(load_table(files))
    assert "TensorBoard exports: Step is read as the budget" in curves.notes[0]
    assert "tag" not in name or curves.directions["all"].metric == "test_acc"
    with pytest.raises(InputError, match="no seed in"):
        load_table(write("Wall time,Step,Value\n1,2,.5\n", "loss.csv"))


def test_names_of_runs() -> None:
    assert split_run("r18-margin_seed=3") == ("r18-margin", "3")
    assert split_run("seed_4/coreset") == ("coreset", "4")
    assert split_run("top5-margin") == ("top5-margin", "")
    assert run_of(Path("margin/0/log.csv")) == ("margin", "0")


def test_budgets_from_zero(write: Write) -> None:
    rows = [(s, k, {100: 0, 200: 10, 400: 20}[b], v) for s, k, b, v in ROWS]
    bought = load_table(write(lines(rows, NAMES)))
    assert "labels bought after the start" in " ".join(bought.notes)
    assert bought.currency() == "labels"
    rounds = load_table(write(lines([(s, k, b // 10, v) for s, k, b, v in rows], NAMES)))
    assert "budgets 0 to 2 are read as rounds" in " ".join(rounds.notes)
    assert rounds.currency() == "rounds"
    assert compare(rounds).verdicts[0].difference == pytest.approx(compare(bought).verdicts[0].difference)
    shares = load_table(write(lines([(s, k, b / 100, v) for s, k, b, v in rows], NAMES)))
    assert sorted(set(shares.frame["budget"])) == [0, 10, 20]


@pytest.mark.parametrize("area", ["trapezoid", "mean", "published-1000"])
def test_areas_of_the_papers(write: Write, area: str) -> None:
    random, margin = ([VALUE[s, 0, b] for b in BUDGETS] for s in ("random", "margin"))
    by_hand = {
        "trapezoid": lambda v: (100 * (v[0] + v[1]) / 2 + 200 * (v[1] + v[2]) / 2) / 300,
        "mean": lambda v: sum(v) / 3,
        "published-1000": lambda v: (100 * (v[0] + v[1]) / 2 + 200 * (v[1] + v[2]) / 2) / 1000,
    }[area]
    comparison = compare(load_table(write(lines([r for r in ROWS if r[1] == 0], NAMES)), area=area))
    (verdict,) = comparison.verdicts
    assert (verdict.value, verdict.baseline_value) == pytest.approx((by_hand(margin), by_hand(random)))
    assert comparison.to_dict()["area"] == area


@pytest.mark.parametrize("area", ["published", "published-0", "published--1", "sum", "published-1e9"])
def test_unknown_areas_are_refused(write: Write, area: str) -> None:
    with pytest.raises(InputError, match="--aubc"):
        load_table(write(lines(ROWS, NAMES)), area=area)


def test_data_sets_are_compared_by_wilcoxon_in_python_too(write: Write) -> None:
    from protocol.spec.study import Plan

    path = write("dataset,random,x\n" + "".join(f"d{i},.{50 + i},.{60 + 2 * i}\n" for i in range(8)))
    assert load_table(path).plan.test == "wilcoxon"
    assert load_table(path, plan=Plan(delta=0.02)).plan.test == "wilcoxon"
    assert load_table(path, plan=Plan(test="sign-flip")).plan.test == "sign-flip"
    assert load_table(write(lines(ROWS, NAMES))).plan.test == "sign-flip"


def test_sheets_of_excel(write: Write, tmp_path: Path) -> None:
    pytest.importorskip("openpyxl", reason="the extra `excel` is not installed")
    table, path = pd.DataFrame(ROWS, columns=list(NAMES)), tmp_path / "t.xlsx"
    table.to_excel(path, index=False, header=False)
    same(load_table(path))
    table.to_excel(path)
    same(load_table(path))
    with pd.ExcelWriter(path) as book:
        table.to_excel(book, sheet_name="Curves", index=False)
        pd.DataFrame().to_excel(book, sheet_name="Empty", index=False)
    assert "sheet Curves of t.xlsx is read" in same(load_table(path)).notes
    with pd.ExcelWriter(path) as book:
        table.to_excel(book, sheet_name="Curves", index=False)
        table.head(3).to_excel(book, sheet_name="Old", index=False)
    with pytest.raises(InputError, match="Curves, Old"):
        load_table(path)
    same(load_table(path, sheet="Curves"))
    with pytest.raises(InputError, match="did you mean 'Curves'"):
        load_table(path, sheet="curves")
    with pytest.raises(InputError, match="--sheet"):
        load_table(write(lines(ROWS, NAMES)), sheet="Curves")


def test_an_error_on_seed_columns_names_the_columns_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("al;steps;run 0;run 1\nrandom;50;0,5;0,6\nmargin;50;0,6;0,7\n")
    with pytest.raises(InputError) as error:
        load_table(path)
    assert "no strategy among al, steps, run 0, run 1" in str(error.value)
    assert "--column strategy=al --column budget=steps" in str(error.value)


@pytest.mark.parametrize(
    "names",
    [
        ("method", "run", "n_labels", "value"),
        ("Query Strategy", "Random Seed", "# labels", "Value"),
        ("Verfahren", "Lauf", "numLabeled", "acc"),
        ("acquisition_function", "trial", "iteration", "test accuracy"),
    ],
)
def test_names_of_the_field_are_understood_and_said(write: Write, names: tuple[str, ...]) -> None:
    curves = same(load_table(write(lines(ROWS, names))))
    assert (
        f"{names[0]} is read as strategy, {names[1]} is read as seed, {names[2]} is read as budget" in curves.notes[0]
    )


def test_the_euro_style_wide_table_is_understood(write: Write) -> None:
    wide = [
        (s, b, *(f"{VALUE[s, k, b]}".replace(".", ",") for k in SEEDS)) for s in ("random", "margin") for b in BUDGETS
    ]
    same(load_table(write(lines(wide, ("method", "n_labels", *(f"run {k}" for k in SEEDS)), ";"))))


def test_of_two_names_the_one_that_counts_labels_is_the_budget(write: Write) -> None:
    rows = [(s, k, BUDGETS.index(b), b, v) for s, k, b, v in ROWS]
    same(load_table(write(lines(rows, ("method", "seed", "round", "n_labels", "acc")))))


def test_what_may_mean_something_else_is_asked_about(write: Write) -> None:
    with pytest.raises(InputError, match="--column seed=fold"):  # folds are no independent seeds
        load_table(write(lines(ROWS, ("method", "fold", "n_labels", "value"))))
    rows = [(s, s, *row) for s, *row in ROWS]
    with pytest.raises(InputError, match="no strategy among"):  # two columns of one name
        load_table(write(lines(rows, ("method", "Method", "seed", "budget", "value"))))


def test_formulas_without_results_are_no_empty_cells(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="the extra `excel` is not installed")
    book, path = openpyxl.Workbook(), tmp_path / "t.xlsx"
    for row in [NAMES, *ROWS]:
        book.active.append(row)
    book.active["D4"], book.active["D6"] = "=D3+0.01", "=D5+0.01"
    book.save(path)
    with pytest.raises(InputError, match=r"Sheet: D4(.|\n)*not stored: =D3\+0.01, and 1 more(.|\n)*save it"):
        load_table(path)
    book.active["D4"], book.active["D6"] = ROWS[2][3], ROWS[4][3]
    book.active["F2"] = "=1+1"
    book.save(path)
    with pytest.raises(InputError, match="Sheet: F2"):
        load_table(path)
    book.active["F2"] = None
    book.save(path)
    same(load_table(path))
