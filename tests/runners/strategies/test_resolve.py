"""Strategies that are not registered: a file, an import path, an entry point of an installed package."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import InputError
from protocol.spec.study import StrategySpec
from runners.guard.errors import StrategyError
from runners.guard.user_code import Source
from runners.strategies import STRATEGIES, View
from runners.strategies.base import check_selection
from runners.strategies.resolve import GROUP, known_names, make, plugins, resolve_spec, user_file
from runners.verbs.browse.strategies import strategies

SOURCE = '''
import numpy as np

class Last:
    """Buys the largest indices."""
    needs = ()
    paper = "Nobody 2026"
    cold_start = True
    def __init__(self, skip=0):
        self.skip = skip
    def select(self, view, n, rng):
        return view.unlabelled[::-1][self.skip:][:n]

def first(view, n, rng):
    return view.unlabelled[:n]

number = 7
'''


@pytest.fixture
def view() -> View:
    return View(np.arange(10, 20), np.array([1]), np.array([0]), 2, 0)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that offers three strategies, one of them broken, one under a registered name."""
    (tmp_path / "their_strategies.py").write_text(SOURCE)
    info = tmp_path / "their_strategies-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-strategies\nVersion: 1.0\n")
    points = "last-first = their_strategies:Last\nbroken = their_strategies:Absent\nmargin = their_strategies:Last\n"
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def chosen(name: str, view: View, n: int, file: Path | None = None, **args: Any) -> list[int]:
    found: list[int] = (
        make(StrategySpec(name=name, args=args), Source.read(file) if file else None)
        .select(view, n, np.random.default_rng(0))
        .tolist()
    )
    return found


def test_a_class_from_a_file_with_arguments_and_a_function(package: Path, view: View) -> None:
    path = package / "their_strategies.py"
    spec = resolve_spec(StrategySpec(name=f"{path}:Last"), Path())
    assert re.fullmatch("[0-9a-f]{64}", spec.source_digest or "")
    file = user_file(spec, Path())
    assert chosen(f"{path}:Last", view, 2, file, skip=1) == [18, 17]
    assert chosen(f"{path}:first", view, 2, file) == [10, 11]


def test_an_import_path(package: Path, view: View) -> None:
    assert chosen("their_strategies:Last", view, 2) == [19, 18]


def test_an_entry_point_is_known_built_and_listed_after_the_registered(package: Path, view: View) -> None:
    assert known_names() == [*STRATEGIES, "broken", "last-first"]
    assert resolve_spec(StrategySpec(name="last-first"), Path()).source_digest is None
    assert chosen("last-first", view, 3, skip=2) == [17, 16, 15]


def test_no_package_takes_a_registered_name(package: Path) -> None:
    assert "margin" not in plugins()
    assert type(make(StrategySpec(name="margin"), None)) is STRATEGIES["margin"]


def test_the_list_names_a_broken_package_and_goes_on(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strategies(None, None, json=True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["last-first"] == {
        "name": "last-first",
        "paper": "Nobody 2026",
        "needs": [],
        "cost": "-",
        "cold_start": True,
    }
    assert "'Absent'" in rows["broken"]["paper"]
    assert set(STRATEGIES) < set(rows)


def test_the_page_of_an_own_strategy_is_printed(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strategies("show", f"{package / 'their_strategies.py'}:Last", json=False)
    page = capsys.readouterr().out
    assert "Buys the largest indices." in page
    assert "Nobody 2026" in page
    assert "Arguments: skip=0\n" in page
    assert "args = { skip = … }" in page


def test_the_page_joins_lines_but_those_of_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    strategies("show", "alfa-mix", json=False)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert any(line.startswith("    step: increase") for line in lines)
    assert any(line.startswith("    most: largest") for line in lines)
    assert "Arguments: step: float = 0.03125, most: int = 20000" in lines


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("broken", {}, "an entry point that loads"),
        ("last-frist", {}, "did you mean 'last-first'"),
        ("their_strategies:Lats", {}, "did you mean 'Last'"),
        ("their_strategies:number", {}, "a class or function"),
        ("their_strategies:first", {"skip": 1}, "none, since it is a function"),
        ("last-first", {"skp": 1}, "arguments of"),
        ("no_such_package:Last", {}, "can be imported"),
    ],
)
def test_what_cannot_be_built_is_said(package: Path, name: str, args: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(StrategySpec(name=name, args=args), None)


BODY = "def select(self, view, n, rng): return view.unlabelled[:n]"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (f"class Mine:\n    needs = ('probabilites',)\n    {BODY}", "did you mean 'probabilities'"),
        (f"class Mine:\n    needs = 'probabilities'\n    {BODY}", r"needs = \('probabilities',\)"),
        (f"class Mine:\n    def __init__(self, easy=1, *, sharp): pass\n    {BODY}", r"args = \{ sharp = … \}"),
        ("import my_helper\n", "install my_helper .*modules next to the file are not found"),
        ("x = 1\n\n\ny = 1 / 0\n", r"ZeroDivisionError: division by zero \(line 4 of its file\)"),
        ("def Mine(view, n, rng)\n    pass\n", r"SyntaxError: expected ':' \(mine.py, line 1\)\n"),
    ],
)
def test_what_is_wrong_with_an_own_file_is_said_before_anything_is_trained(
    tmp_path: Path, source: str, says: str
) -> None:
    (tmp_path / "mine.py").write_text(source)
    with pytest.raises(InputError, match=says):
        make(StrategySpec(name="mine.py:Mine"), Source.read(tmp_path / "mine.py"))


def test_a_function_may_say_what_it_needs_and_must_know_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def mine(view, n, rng): ...\nmine.needs = ('pictures',)\n")
    with pytest.raises(InputError, match="'pictures'"):
        make(StrategySpec(name="mine.py:mine"), Source.read(tmp_path / "mine.py"))


def test_a_file_without_a_name_is_no_misspelt_margin(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"name a function or class in the file: mine\.py:Name"):
        resolve_spec(StrategySpec(name="mine.py"), tmp_path)


@pytest.mark.parametrize(
    ("returned", "found", "fix"),
    [
        (None, "None", "as an array or a list"),
        ((i for i in range(2)), "a generator", "as an array or a list"),
        (np.arange(10) < 2, "bool of shape (10,)", "view.unlabelled[mask]"),
        (np.arange(2.0), "float64 of shape (2,)", "members of view.unlabelled"),
    ],
)
def test_what_is_no_selection_is_called_by_its_name(view: View, returned: object, found: str, fix: str) -> None:
    with pytest.raises(StrategyError) as error:
        check_selection(returned, view, 2, "mine")
    [fault] = error.value.faults
    assert fault.found == found
    assert fix in fault.fix
