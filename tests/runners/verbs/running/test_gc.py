"""`gc` removes what killed processes left and what finished warm starts kept.

It never removes evidence, nor anything of a run that is being written.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from protocol.record.chain import lock_run
from protocol.record.layout import StudyFolder, clock
from protocol.rules import check_study
from protocol.spec.run_id import RunId
from runners.caching.cache_folder import entries
from runners.verbs.running.gc import gc_study
from tests.support.study_builder import build_study


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    made = build_study(tmp_path / "study")
    run = made.run(RunId("small", "first", 0))
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


def said(folder: StudyFolder, capsys: pytest.CaptureFixture[str], *, dry: bool = False) -> dict[str, Any]:
    capsys.readouterr()
    gc_study(folder, dry, json=True)
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
    run = folder.run(RunId("small", "first", 0))
    lines = run.events.read_bytes().splitlines(keepends=True)
    run.events.write_bytes(b"".join(lines[:-1]))  # not sealed: it will go on
    run.checkpoint(0).write_bytes(b"older")
    with lock_run(run):
        assert said(folder, capsys)["busy"] == ["records/small/first/seed-0"]
        assert run.checkpoint(0).exists()
    assert said(folder, capsys)["weights"]["files"] == 1
    assert [p.name for p in run.checkpoints()] == [".checkpoint-001.npz"]


@pytest.mark.parametrize("days", [3, -3])
def test_a_file_servers_clock_that_is_off_removes_no_fresh_draft_and_keeps_no_old_one(
    days: int, folder: StudyFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(
        time, "time", lambda: real() + days * 86_400
    )  # this machine's, while the disk stamps by another
    hours = real() - 2 * 3600
    os.utime(folder.path / "splits" / ".x.npz.abcdefgh", (hours, hours))
    before = everything(folder)
    assert said(folder, capsys)["half-written"]["files"] == 4
    kept = everything(folder)
    assert ".study.json.abcdefgh" in kept
    assert set(before) - set(kept) >= {"splits/.x.npz.abcdefgh", "pretrained/0123/.weights.npz.abcdefgh"}
    assert not list(folder.path.rglob(".clock.*"))


def test_a_draft_that_is_renamed_while_it_is_looked_at_is_left_alone(
    folder: StudyFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def renames(place: Path) -> float:
        if place == folder.path / "splits":
            (place / ".x.npz.abcdefgh").rename(place / "x.npz")
        return clock(place)

    monkeypatch.setattr("runners.verbs.running.gc.clock", renames)
    assert said(folder, capsys)["half-written"]["files"] == 3
    assert (folder.path / "splits" / "x.npz").exists()


@pytest.mark.parametrize("days", [3, -3])
def test_what_of_the_cache_is_old_is_told_by_its_own_clock(
    days: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, age in (("old", 2 * 86_400), ("new", 0)):
        entry = tmp_path / "decoded" / name / "images.npy"
        entry.parent.mkdir(parents=True)
        entry.write_bytes(b"12345")
        os.utime(entry, (time.time() - age,) * 2)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + days * 86_400)
    assert {entry.path.name: round(entry.idle / 86_400) for entry in entries(tmp_path)} == {"new": 0, "old": 2}
