"""Tables from other people: endless files, archives of zeros, and names that mislead."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from analysis.loading.sources import files_in
from analysis.loading.table import load_table
from protocol.errors import InputError


def written(folder: Path, *names: str) -> Path:
    rows = [f'"{name}",{seed},10,{0.5 + seed / 100}' for name in names for seed in range(4)]
    (folder / "t.csv").write_text("strategy,seed,budget,value\n" + "\n".join(rows), encoding="utf-8")
    return folder / "t.csv"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("r\u0430ndom", "U+0430 CYRILLIC SMALL LETTER A"),
        ("\uff52andom", "looks like 'random' but has U+FF52"),
        ("rand0m", "looks like 'random'"),
        ("x\x1b[31m", "U+001B"),
        ("x\u202ey", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("margin\u200b", "U+200B ZERO WIDTH SPACE"),
    ],
)
def test_a_name_that_misleads_is_refused(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        load_table(written(tmp_path, "random", name))
    assert said in str(refused.value)
    assert name.isprintable() or name not in str(refused.value)


def test_a_look_alike_in_place_of_the_baseline_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="looks like 'random' but has U\\+FF52"):
        load_table(written(tmp_path, "\uff52andom", "margin"))


def test_honest_names_of_every_language_pass(tmp_path: Path) -> None:
    names = ("random", "β-VAE", "ALFA (α=0.2)", "Net 1", "Net l", "неопределённость", "不确定性")
    assert load_table(written(tmp_path, *names)).strategies == names


def test_a_link_in_a_folder_of_tables_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link.csv").symlink_to(written(tmp_path, "random", "margin"))
    with pytest.raises(InputError, match=r"link\.csv\n  expected: a file\n  found:    a link, which is not followed"):
        files_in(tmp_path / "folder")
    assert files_in(tmp_path / "folder" / "link.csv") == [tmp_path / "folder" / "link.csv"]  # named by the user


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    for ending in ("csv", "jsonl", "xlsx", "parquet"):
        os.mkfifo(tmp_path / f"t.{ending}")
        with pytest.raises(InputError, match="pipe or device"):
            load_table(tmp_path / f"t.{ending}")


def test_an_endless_or_huge_table_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "t.csv").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(InputError, match="at most 268435456 are read"):
        load_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"strategy,seed,budget,value\n" + b"," * 10_000_001)
    with pytest.raises(InputError, match="10000005 cells, of which at most 10000000"):
        load_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"strategy,seed,budget,value\n" + b",,,\n" * 7_500_000)
    with pytest.raises(InputError, match="30000004 cells, of which at most 30000000"):
        load_table(tmp_path / "t.csv")


def test_a_small_sheet_that_unpacks_to_a_huge_one_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(2**26 + 1))
    with pytest.raises(InputError, match="67108865 bytes unpacked"):
        load_table(tmp_path / "t.xlsx")


def test_a_small_parquet_file_of_equal_cells_is_not_unpacked(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `parquet` is not installed")
    parquet.write_table(pyarrow.table({"seed": np.zeros(11_000_000, np.int8)}), tmp_path / "many.parquet")
    parquet.write_table(pyarrow.table({"seed": ["0" * 100_000] * 4000}), tmp_path / "wide.parquet")
    for name, said in {"many": "11000000 cells", "wide": "bytes unpacked"}.items():
        assert (tmp_path / f"{name}.parquet").stat().st_size < 2**20
        with pytest.raises(InputError, match=said):
            load_table(tmp_path / f"{name}.parquet")


def test_json_lines_nested_without_end_or_with_a_key_twice(tmp_path: Path) -> None:
    for line, said in {"[" * 100_000: "nesting", '{"seed": 1, "seed": 2}': "'seed' more than once"}.items():
        (tmp_path / "t.jsonl").write_text(line)
        with pytest.raises(InputError, match=said):
            load_table(tmp_path / "t.jsonl")
