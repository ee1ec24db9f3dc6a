"""`gc` takes what killed processes left and finished warm starts kept; never evidence, never from a run that is being written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from study_builder import build_study

from protocol.folders import StudyFolder
from protocol.record import alone
from protocol.rules import check_study
from runners.verbs.gc import gc


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    made = build_study(tmp_path / "study")
    run = made.run("small", "first", 0)
    for path in (
        run.path / ".events.jsonl.a1b2c3d4",
        run.path / "predictions" / ".round-000.npz.zz_zz_9z",
        run.checkpoint(1),
        made.path / ".study.json.abcdefgh",
        made.path / "splits" / ".x.npz.abcdefgh",
        made.path / "pretrained" / "0123" / ".weights.npz.abcdefgh",
    ):
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(b"12345")
    for name in ("splits/.x.npz.abcdefgh", "pretrained/0123/.weights.npz.abcdefgh"):
        os.utime(made.path / name, (0, 0))
    return made


def everything(folder: StudyFolder) -> dict[str, bytes]:
    found = (p for p in folder.path.rglob("*") if p.is_file() and p.name != ".lock" and ".claims" not in p.parts)
    return {str(p.relative_to(folder.path)): p.read_bytes() for p in found}


def said(folder: StudyFolder, capsys: pytest.CaptureFixture[str], *, dry: bool = False) -> dict[str, dict[str, int]]:
    capsys.readouterr()
    gc(folder, dry, json=True)
    told = json.loads(capsys.readouterr().out)
    return {kind.split()[0]: found for kind, found in told["removed"].items()} | {"busy": told["busy"]}


def test_only_what_nobody_needs_is_removed(folder: StudyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything(folder)
    expected = {"half-written": {"files": 4, "bytes": 20}, "weights": {"files": 1, "bytes": 5}, "busy": []}
    assert said(folder, capsys, dry=True) == expected
    assert everything(folder) == before
    assert said(folder, capsys) == expected
    gone = set(before) - set(everything(folder))
    run = "records/small/first/seed-0"
    assert gone == {
        f"{run}/.events.jsonl.a1b2c3d4",
        f"{run}/predictions/.round-000.npz.zz_zz_9z",
        f"{run}/.checkpoint-001.npz",
        "splits/.x.npz.abcdefgh",
        "pretrained/0123/.weights.npz.abcdefgh",
    }  # the young one in the study's own folder may be being written
    assert {k: v for k, v in before.items() if k not in gone} == everything(folder)
    assert check_study(folder.path).answer == "obeyed"
    assert said(folder, capsys)["weights"]["files"] == 0


def test_a_run_that_is_being_written_and_the_weights_of_one_that_goes_on_stay(
    folder: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    run = folder.run("small", "first", 0)
    lines = run.events.read_bytes().splitlines(keepends=True)
    run.events.write_bytes(b"".join(lines[:-1]))  # not sealed: it will go on
    run.checkpoint(0).write_bytes(b"older")
    with alone(run):
        assert said(folder, capsys)["busy"] == ["records/small/first/seed-0"]
        assert run.checkpoint(0).exists()
    assert said(folder, capsys)["weights"]["files"] == 1
    assert [p.name for p in run.checkpoints()] == [".checkpoint-001.npz"]
