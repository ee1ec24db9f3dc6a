"""Plans that change openly."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.errors import InputError
from protocol.record.amendments import amend, read_amendments
from protocol.record.layout import StudyFolder
from tests.support.study_builder import make_study


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    folder = StudyFolder(tmp_path / "study")
    folder.adopt(make_study())
    return folder


def test_the_earlier_plans_are_kept(folder: StudyFolder) -> None:
    assert read_amendments(folder) == ()
    amend(folder, make_study(seeds=[0, 1, 2]), "  it was nearly significant ")
    amend(folder, make_study(seeds=[0, 1, 2, 3]), "and again")
    first, second = read_amendments(folder)
    assert (first.before, second.before) == (make_study(), make_study(seeds=[0, 1, 2]))
    assert (first.reason, second.reason) == ("it was nearly significant", "and again")
    assert (first.after, second.after) == (second.before.fingerprint, folder.read_plan().fingerprint)
    assert folder.read_plan() == make_study(seeds=[0, 1, 2, 3])


def test_no_reason_and_no_change_are_refused_together(folder: StudyFolder) -> None:
    before = folder.plan.read_bytes()
    with pytest.raises(InputError) as caught:
        amend(folder, make_study(), " ")
    assert len(caught.value.faults) == 2
    assert folder.plan.read_bytes() == before
    assert not folder.amendments.exists()


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"[]",
        b'{"time":"t","reason":"r","after":"a"}',
        b'{"time":"t","reason":"r","after":"a","before":{}}',
        b"\xff",
    ],
)
def test_a_damaged_history_is_said(folder: StudyFolder, line: bytes) -> None:
    folder.amendments.write_bytes(line + b"\n")
    with pytest.raises(InputError, match=r"amendments\.jsonl:1"):
        read_amendments(folder)
