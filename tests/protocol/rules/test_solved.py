"""TRN-12 and TRN-04 on studies whose heads were solved."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from protocol.record.layout import StudyFolder
from protocol.rules import check_study
from protocol.spec.run_id import RunId
from tests.support.study_builder import build_study, obedient_study, protocol_table, rewrite, rounds

SOLVED = protocol_table(
    model={"name": "linear"}, regime={"name": "solved", "solver": {"tolerance": 1e-5, "max_iterations": 70}}
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build_study(tmp_path_factory.mktemp("solved") / "study", obedient_study(protocols=[SOLVED]))
    for events in folder.records.rglob("events.jsonl"):
        rewrite(events, lambda e: [r.update(steps=31, extra={"gradient": 1e-5}) for r in rounds(e)])
    return folder.path


@pytest.mark.parametrize(
    ("change", "broken", "unverifiable"),
    [
        ({}, set(), set()),
        ({"extra": {"gradient": 1.1e-5}}, {"TRN-12"}, set()),
        ({"extra": {}}, set(), {"TRN-12"}),
        ({"steps": 70}, set(), set()),
        ({"steps": 71}, {"TRN-04"}, set()),
    ],
)
def test_a_solved_head_must_have_converged(
    built: Path, tmp_path: Path, change: dict[str, Any], broken: set[str], unverifiable: set[str]
) -> None:
    shutil.copytree(built, tmp_path / "study")
    study = StudyFolder(tmp_path / "study")
    rewrite(study.run(RunId("small", "first", 1)).events, lambda e: rounds(e)[1].update(change))
    training = [r for r in check_study(study.path).results if r.rule.id.startswith("TRN")]
    assert {r.rule.id for r in training if r.answer == "broken"} == broken
    assert {r.rule.id for r in training if r.answer == "unverifiable"} == unverifiable
