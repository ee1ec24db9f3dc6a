"""`beatrandom check` as typed, in this process."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from protocol.errors import InputError
from protocol.record.layout import StudyFolder
from protocol.spec.run_id import RunId
from runners.cli import app
from tests.support.study_builder import build_study, rewrite

Check = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("check") / "study"
    folder = build_study(path)
    rewrite(folder.run(RunId("small", "first", 0)).events, lambda e: e[5].update(budget=23))
    return path


@pytest.fixture
def check() -> Check:
    def typed(*words: object) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["check", *map(str, words)])
        if isinstance(done.exception, InputError):
            raise done.exception
        return done.exit_code, done.stdout

    return typed


def test_every_form_carries_the_same_exit_code(study: Path, check: Check) -> None:
    assert json.loads(check(study, "--json")[1]) == json.loads(check(study, "--format", "json")[1])
    assert ET.fromstring(check(study, "--format", "junit")[1].partition("\n")[2]).get("failures") == "1"
    assert json.loads(check(study, "--format", "sarif")[1])["version"] == "2.1.0"
    assert check(study, "--format", "github")[1].startswith("::error file=")
    assert check(study, "--badge")[1].count("\n") == 1
    assert "NO (BUD-02)" in check(study, "--checklist", "markdown")[1]
    assert {check(study, *words)[0] for words in ((), ("--json",), ("--badge",), ("--checklist", "latex"))} == {1}


def test_a_run_is_checked_by_its_folder_or_its_record(study: Path, check: Check) -> None:
    run = StudyFolder(study).run(RunId("small", "first", 0))
    assert check(run.path, "--json") == check(run.events, "--json")


def test_pages_and_schema_need_no_study(check: Check) -> None:
    assert check("--explain", "bud-01")[1].startswith("BUD-01 (error, since")
    assert json.loads(check("--schema")[1])["title"] == "ComplianceModel"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "one thing to check"),
        (("x", "--indices", "y"), "two"),
        (("x", "--protocol", "digits-plain"), "only with them"),
        (("--indices", "y"), "--protocol with"),
        (("--indices", "y", "--protocol", "digits-plian"), "digits-plain"),
        (("--explain", "BUD-99"), "BUD-01"),
        (("x", "--format", "sarfi"), "did you mean 'sarif'"),
        (("x", "--checklist", "html"), "markdown"),
        (("x", "--badge", "--json"), "one of"),
    ],
)
def test_what_makes_no_sense_is_said(check: Check, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        check(*words)


def test_records_tables_and_lists_are_told_apart(study: Path, check: Check, tmp_path: Path) -> None:
    record = study / "records" / "small" / "last" / "seed-0" / "events.jsonl"
    assert json.loads(check(record, "--json")[1])["source"] == "record"
    rows = [f"random,{seed},{budget},0.{seed}{budget}" for seed in range(3) for budget in (20, 40)]
    (tmp_path / "curves.csv").write_text("\n".join(["strategy,seed,budget,value", *rows]))
    code, told = check(tmp_path / "curves.csv", "--protocol", "digits-plain", "--json")
    assert (code, json.loads(told)["source"]) == (1, "table")
    (tmp_path / "lists" / "random" / "seed-0").mkdir(parents=True)
    (tmp_path / "lists" / "random" / "seed-0" / "round-0.json").write_text(json.dumps(list(range(20))))
    code, told = check("--indices", tmp_path / "lists", "--protocol", "digits-plain", "--json")
    assert (code, json.loads(told)["source"]) == (1, "indices")


def test_the_hook_runs_for_whatever_a_study_is_made_of(study: Path) -> None:
    hook = (Path(__file__).parents[4] / ".pre-commit-hooks.yaml").read_text()
    [pattern] = re.findall(r"^  files: (.*)$", hook, re.M)
    files = [
        str(path.relative_to(study.parent)) for path in study.rglob("*") if path.suffix in (".json", ".jsonl", ".npz")
    ]
    assert len(files) > 10
    assert [name for name in [*files, "results/study.tar.xz"] if not re.search(pattern, name)] == []
    assert not re.search(pattern, "results/notes.md")


def test_what_is_not_obeyed_comes_first_and_the_rest_is_a_count(study: Path, check: Check) -> None:
    code, short = check(study)
    _, whole = check(study, "--all")
    assert code == 1
    assert "to do:" in short
    assert "Compliance of" in whole
    assert "Compliance of" not in short
    assert len(short.splitlines()) < len(whole.splitlines()) / 2
    assert "BUD-02" in whole
