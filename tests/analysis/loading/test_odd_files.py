"""What spreadsheets, editors and scripts leave in tables: read and said, or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.loading.number_style import plain_numbers
from analysis.loading.table import load_table
from protocol.errors import InputError
from tests.analysis.loading.test_layouts import NAMES, ROWS, VALUE, lines, same
from tests.support.front_door import beatrandom


def comma(value: float) -> str:
    return str(value).replace(".", ",")


READ = {
    "decimal commas": lines([(s, k, b, comma(v)) for s, k, b, v in ROWS], NAMES, ";"),
    "decimal commas without a header": lines([(s, k, b, comma(v)) for s, k, b, v in ROWS], mark=";"),
    "separator stated": "sep=;\n" + lines(ROWS, NAMES, ";"),
    "quoted": lines([[f'"{cell}"' for cell in row] for row in ROWS], NAMES),
    "comments": "# made by hand\n# twice, really\n" + lines(ROWS, NAMES) + "# end\n",
    "header in a comment": "# " + lines(ROWS, NAMES, " "),
    "commas at the end": lines([(*row, "", "") for row in ROWS], (*NAMES, "", "")),
    "capitals": lines(ROWS, ("Strategy", "SEED", "Budget", "Value")),
    "an index": lines([(i, *row) for i, row in enumerate(ROWS)], ("", *NAMES)),
    "an index under pandas' name": lines([(i, *row) for i, row in enumerate(ROWS)], ("Unnamed: 0", *NAMES)),
    "an index called #": lines([(i, *row) for i, row in enumerate(ROWS)], ("#", *NAMES)),
    "Markdown": "".join(f"| {' | '.join(map(str, row))} |\n" for row in [NAMES, ["---"] * 4, *ROWS]),
    "dates": lines([("2024-01-01", *row) for row in ROWS], ("date", *NAMES)),
    "strategies without a name": lines(ROWS, ("", *NAMES[1:])),
}


@pytest.mark.parametrize("kind", READ)
def test_odd_tables_say_what_the_plain_one_says(tmp_path: Path, kind: str) -> None:
    (tmp_path / "t.csv").write_text(READ[kind], encoding="utf-8")
    same(load_table(tmp_path / "t.csv"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_text(lines(ROWS, NAMES, "\t"), encoding=encoding)
    same(load_table(tmp_path / "t.csv"))


@pytest.mark.parametrize(
    ("cells", "mark"),
    [
        (('"1,000"', '"2,000"', '"12,000"'), ","),
        (("1.000", "2.000", "12.000"), ";"),
        (("1'000", "2'000", "12'000"), ";"),
    ],
)
def test_separators_of_thousands(tmp_path: Path, cells: tuple[str, ...], mark: str) -> None:
    spelt = dict(zip((100, 200, 400), cells, strict=True))
    european = cells[0] == "1.000"
    rows = [(s, k, spelt[b], comma(v) if european else v) for s, k, b, v in ROWS]
    (tmp_path / "t.csv").write_text(lines(rows, NAMES, mark))
    curves = load_table(tmp_path / "t.csv")
    assert sorted(set(curves.frame["budget"])) == [1000, 2000, 12000]
    assert list(curves.frame["value"]) == list(VALUE.values())
    assert "is read as" in curves.notes[0]


def test_a_comma_that_could_be_either_is_refused(tmp_path: Path) -> None:
    rows = [(s, k, f'"{b // 100},000"', int(v * 100)) for s, k, b, v in ROWS]
    (tmp_path / "t.csv").write_text(lines(rows, NAMES))
    with pytest.raises(InputError, match="no thousands separators"):
        load_table(tmp_path / "t.csv")


def test_names_with_commas_stay() -> None:
    import pandas as pd

    frame = pd.DataFrame({"s": ["a, b", "random"], "v": ["0,5", "1,25"], "line": ["1", "2"]}, dtype="str")
    out, notes = plain_numbers(frame, "line")
    assert (list(out["s"]), list(out["v"]), len(notes)) == (["a, b", "random"], ["0.5", "1.25"], 1)


HEADER = "strategy,seed,budget,value\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEADER + "random,0,10,0.812 ± 0.004\nx,0,10,0.9 ± 0.1\n", "a mean with its spread"),
        (HEADER + "random,0,10,81.2 (0.4)\nx,0,10,90 (1)\n", "a mean with its spread"),
        (HEADER + "random,0,10,0.81+-0.01\n", "a mean with its spread"),
        (HEADER + "random,0,10,81.2%\nx,0,10,90%\n", "leave out the %"),
        (HEADER + "random,0,2024-01-01,.8\n", "a date is no budget"),
        (HEADER + f"random,0,{10**25},.8\n", "at most 18 digits"),
        (HEADER + "random,0,-10,.8\n", "a whole number of at least 0"),
        ("# c\n" + HEADER + "random,0,10,.5\n# c\nx,0,10,bad\n", r"csv:5: value"),
        ("", "an empty file"),
        ("\n \n", "an empty file"),
        (HEADER, "only a header"),
        ("random,0,10,.5\n", "only a header"),
        (HEADER + "random,0,10,.5\n", "at least one strategy besides random"),
        ("My results\n" + lines(ROWS, NAMES), "remove lines above the header"),
        (lines(ROWS, NAMES) + "random,9,100,.5,.6,.7\n", "Expected 4 fields in line 44, saw 6"),
        (lines([(k, s, b, v) for s, k, b, v in ROWS], ("", "strategy", "budget", "value")), "neither among"),
        ("al,fold,steps,test_acc\nrandom,0,10,.5\n", "--column strategy=al --column seed=fold"),
    ],
)
def test_what_misleads_is_refused_with_the_reason(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        load_table(tmp_path / "t.csv")


@pytest.mark.parametrize("name", ["t.xls", "t.ods", "t.json", "t.csv.gz", "t.pkl"])
def test_kinds_that_are_not_read_say_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=r"save the sheet|unpack it|write"):
        load_table(tmp_path / name)


def test_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(lines(ROWS, NAMES).replace("margin", "márgin").encode("latin-1"))
    with pytest.raises(InputError, match="save the file as UTF-8"):
        load_table(tmp_path / "t.csv")


def test_every_kind_is_explained_without_a_traceback(tmp_path: Path) -> None:
    for number, text in enumerate(READ.values()):
        (tmp_path / f"t{number}.csv").write_text(text, encoding="utf-8")
        assert "strategies  random, margin" in beatrandom("compare", f"t{number}.csv", "--columns", cwd=tmp_path).stdout


def said_of(tmp_path: Path, text: str) -> str:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError) as error:
        load_table(tmp_path / "t.csv")
    return str(error.value)


def test_repeated_rows_name_the_column_that_tells_them_apart(tmp_path: Path) -> None:
    rows = [f"{s},0,10,{0.5 + k / 10},{a}" for s in ("random", "margin") for k, a in enumerate(("yes", "no"))]
    said = said_of(tmp_path, "strategy,seed,budget,value,augmentation\n" + "\n".join(rows) + "\n")
    assert "they differ in augmentation (yes, no)" in said
    assert "--column regime=augmentation" in said


def test_columns_named_like_data_sets_are_asked_about(tmp_path: Path) -> None:
    said = said_of(tmp_path, "strategy,CIFAR,SVHN,MNIST\nrandom,0.5,0.6,0.9\nmargin,0.55,0.65,0.91\n")
    assert "if CIFAR, SVHN, MNIST are data sets, add --wide dataset" in said


def test_the_only_column_of_percentages_is_the_value(tmp_path: Path) -> None:
    said = said_of(tmp_path, "strategy,seed,result\nrandom,0,50.1%\nrandom,1,51.2%\nmargin,0,53 %\nmargin,1,54.3%\n")
    assert "leave out the % in every cell" in said
