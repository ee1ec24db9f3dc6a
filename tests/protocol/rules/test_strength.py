"""What stands behind an answer, and rules that had nothing to judge."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from protocol.record.chain import read
from protocol.record.layout import StudyFolder
from protocol.record.replay_answers import Attempt, Replayed, add_attempt
from protocol.rules import check_study
from protocol.rules.strength import missing_walls
from protocol.spec.run_id import RunId
from tests.support.study_builder import rewrite

STOOD = {"process": True, "files": "landlock", "network": "seccomp", "temporary": "empty"}
FIRST = RunId("small", "first", 0)


@pytest.fixture
def study(valid_study: Path, tmp_path: Path) -> StudyFolder:
    shutil.copytree(valid_study, tmp_path / "study")
    return StudyFolder(tmp_path / "study")


def confine(study: StudyFolder, seed: int, **walls: Any) -> None:
    run = study.run(RunId("small", "first", seed)).events
    rewrite(run, lambda e: e[0]["environment"].update(confined=STOOD | walls))


def test_rules_without_a_subject_do_not_count_as_obeyed(study: StudyFolder) -> None:
    result = check_study(study.path)
    idle = {r.rule.id for r in result.results if r.idle}
    assert {"ISO-01", "ISO-05", "QRY-06", "TRN-06", "BUD-07", "PRO-05"} <= idle
    assert "BUD-01" not in idle
    obeyed = sum(r.answer == "obeyed" and not r.idle for r in result.results)
    assert f"{obeyed} obeyed" in result.summary()
    assert f"{len(idle)} had nothing to judge" in result.summary()
    assert "not replayed; not signed" in result.summary()
    assert "confined" not in result.summary()


def test_walls_and_replays_are_counted(study: StudyFolder) -> None:
    confine(study, 0)
    confine(study, 1, network="none")
    head = read(study.run(FIRST).events).head
    kept = Attempt(head=head, rounds=(Replayed(round=0, answer="equal", said=""),), environment={})
    add_attempt(study.replays(FIRST), kept)
    old = RunId("small", "last", 0)
    add_attempt(study.replays(old), kept)  # of another record: no replay of this one
    result = check_study(study.path)
    assert result.strength.words() == "strategies confined in 1 of 2 runs; replayed 1 of 6; not signed"
    assert (
        result.to_dict()["strength"] | {"runs": 6, "own": 2, "confined": 1, "replayed": 1}
        == (result.to_dict()["strength"])
    )
    [finding] = [f for f in result.findings if f.rule == "ISO-05"]
    assert (finding.answer, finding.run, finding.found) == ("broken", "small/first/seed-1", "none for: network")


@pytest.mark.parametrize(
    ("confined", "missing"),
    [
        (STOOD, []),
        (STOOD | {"files": "none"}, ["files"]),
        ({"process": True}, ["files", "network"]),
        ({}, ["process", "files", "network"]),
        (None, None),
        ("yes", None),
    ],
)
def test_walls_that_did_not_stand_are_named(confined: object, missing: list[str] | None) -> None:
    assert missing_walls(confined) == missing
