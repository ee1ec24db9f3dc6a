"""Folders of one study are merged: missing and more advanced records are taken, differences reported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import typer

from protocol.errors import InputError
from protocol.record.chain import read
from protocol.record.layout import StudyFolder
from protocol.rules import check_study
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from runners.executors.inline import Inline
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, count_states, jobs, status
from runners.verbs.running.storage import merge
from tests.support.study_builder import rewrite


def part(study: Study, path: Path, runs: slice) -> StudyFolder:
    folder = StudyFolder(path)
    adopt(folder, study, path)
    list(Inline().execute(jobs(folder, study, None, "cpu", 1, planned_runs(study)[runs])))
    return folder


def content(folder: StudyFolder) -> dict[str, bytes]:
    return {str(p.relative_to(folder.path)): p.read_bytes() for p in folder.path.rglob("*") if p.is_file()}


def test_halves_become_a_whole_and_merging_again_changes_nothing(toy_study: Study, tmp_path: Path) -> None:
    a, b = part(toy_study, tmp_path / "a", slice(0, 2)), part(toy_study, tmp_path / "b", slice(1, 4))
    merge(a.path, [b.path])
    assert count_states(status(a, toy_study)) == {"done": 4}
    assert check_study(a.path).exit_code == check_study(part(toy_study, tmp_path / "c", slice(0, 4)).path).exit_code
    before = content(a)
    merge(a.path, [b.path])
    assert content(a) == before


def test_an_empty_folder_takes_all_that_evidence_needs(toy_study: Study, tmp_path: Path) -> None:
    a, b = part(toy_study, tmp_path / "a", slice(0, 0)), part(toy_study, tmp_path / "b", slice(0, 1))
    merge(a.path, [b.path])
    evidence = {
        name
        for name in content(b)
        if name.startswith(("records/", "splits/", "data/")) and ".lock" not in name and ".claims" not in name
    }
    assert {name.split("/")[0] for name in evidence} == {"records", "splits", "data"}
    assert {name: content(a)[name] for name in evidence} == {name: content(b)[name] for name in evidence}


def test_the_longer_record_wins_and_the_shorter_is_kept_aside(toy_study: Study, tmp_path: Path) -> None:
    a, b = part(toy_study, tmp_path / "a", slice(0, 1)), part(toy_study, tmp_path / "b", slice(0, 1))
    events = a.run(RunId("toy", "random", 0)).events
    events.write_bytes(b"".join(events.read_bytes().splitlines(keepends=True)[:4]))
    short = content(a)
    merge(b.path, [a.path])  # nothing to take
    assert read(b.run(RunId("toy", "random", 0)).events).sealed
    merge(a.path, [b.path])
    assert read(events).sealed
    (aside,) = events.parent.parent.glob(".*before-merge*")
    assert (aside / "events.jsonl").read_bytes() == short["records/toy/random/seed-0/events.jsonl"]


def test_what_differs_is_told_and_left_alone(
    toy_study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = part(toy_study, tmp_path / "a", slice(0, 1)), part(toy_study, tmp_path / "b", slice(0, 3))
    rewrite(b.run(RunId("toy", "random", 0)).events, lambda events: events[3].update(steps=99))
    damaged = b.run(RunId("toy", "random", 1)).events
    damaged.write_bytes(damaged.read_bytes().replace(b'"budget":30', b'"budget":31'))
    before = content(a)
    with pytest.raises(typer.Exit):
        merge(a.path, [b.path])
    after = content(a)
    assert {k: after[k] for k in before} == before
    assert count_states(status(a, toy_study)) == {"done": 2, "missing": 2}


def test_another_plan_is_refused_before_anything_is_taken(toy_study: Study, tmp_path: Path) -> None:
    a, b = (
        part(toy_study, tmp_path / "a", slice(0, 0)),
        part(toy_study.model_copy(update={"seeds": (0,)}), tmp_path / "b", slice(0, 1)),
    )
    shutil.copytree(b.path, tmp_path / "c")
    (tmp_path / "c" / "study.json").unlink()
    before = content(a)
    with pytest.raises(InputError) as caught:
        merge(a.path, [b.path, tmp_path / "c"])
    assert len(caught.value.faults) == 2
    assert content(a) == before
