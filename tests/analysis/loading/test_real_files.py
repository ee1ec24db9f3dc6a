"""Files as they lie around: other separators, budgets as shares, JSON lines, Excel, metrics as column names."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from analysis.loading.table import load_table
from analysis.verdict.decide import compare
from protocol.errors import InputError
from tests.support.front_door import beatrandom

ROWS = [
    (s, k, b, round(0.5 + b / 1000 + 0.013 * k + (0.02 + 0.001 * k) * (s == "margin"), 4))
    for s in ("random", "margin")
    for k in range(7)
    for b in (100, 200, 400)
]
NAMES = ("strategy", "seed", "budget", "value")


def _text(mark: str = ",", names: tuple[str, ...] = NAMES, share: float = 1) -> str:
    lines = [(s, k, b if share == 1 else round(b * share, 4), v) for s, k, b, v in ROWS]
    return "\n".join(mark.join(map(str, row)) for row in [names, *lines]) + "\n"


@pytest.fixture
def right(tmp_path: Path):  # type: ignore[no-untyped-def]
    (tmp_path / "right.csv").write_text(_text())
    return compare(load_table(tmp_path / "right.csv")).verdicts


@pytest.mark.parametrize("mark", ["|", " | ", "\t", ";", " ", "   "])
def test_separators(right, tmp_path: Path, mark: str) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "t.csv").write_text(_text(mark))
    assert compare(load_table(tmp_path / "t.csv")).verdicts == right


@pytest.mark.parametrize("share", [0.001, 0.0001, 0.025])
def test_budgets_as_shares(right, tmp_path: Path, share: float) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "t.csv").write_text(_text(share=share))
    curves = load_table(tmp_path / "t.csv")
    (found,) = compare(curves).verdicts
    assert found.difference == pytest.approx(right[0].difference)
    assert share == 0.025 or "budgets are not whole numbers" in " ".join(curves.notes)


def test_json_lines(right, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps(dict(zip(NAMES, row, strict=True))) for row in ROWS))
    assert compare(load_table(path)).verdicts == right
    for bad in ("{", "[1]", ""):
        path.write_text(bad)
        beatrandom("compare", "t.jsonl", cwd=tmp_path, check=2)


def test_excel(right, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    def absent(*_: object, **__: object) -> None:
        raise ImportError("no openpyxl")

    with monkeypatch.context() as patch:
        patch.setattr(pd, "ExcelFile", absent)
        with zipfile.ZipFile(tmp_path / "t.xlsx", "w"):
            pass
        with pytest.raises(InputError, match="openpyxl"):
            load_table(tmp_path / "t.xlsx")
    pytest.importorskip("openpyxl", reason="the extra `excel` is not installed")
    pd.DataFrame(ROWS, columns=list(NAMES)).to_excel(tmp_path / "t.xlsx", index=False)
    assert compare(load_table(tmp_path / "t.xlsx")).verdicts == right


def test_the_one_column_of_numbers_is_the_metric(right, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "t.csv").write_text(_text(names=("strategy", "seed", "budget", "test_acc")))
    curves = load_table(tmp_path / "t.csv")
    assert compare(curves).verdicts == right
    assert curves.directions["all"].metric == "test_acc"
    assert "column test_acc is read as the values" in curves.notes[0]
