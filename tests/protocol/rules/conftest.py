"""One valid study per session; each test tampers with its own copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from protocol.record.layout import RunFolder, StudyFolder
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from tests.support.study_builder import build_study, lines, obedient_study, rewrite

Edit = Callable[[list[dict[str, Any]]], Any]


@dataclass(frozen=True)
class Victim:
    """A copy of the valid study, and the run that is tampered with: strategy `first`, seed 0."""

    folder: StudyFolder
    study: Study

    @property
    def run(self) -> RunFolder:
        return self.folder.run(RunId("small", "first", 0))

    def edit(self, edit: Edit, *, rechain: bool = True) -> None:
        """Change the victim's record; by default the forger repairs the chain too."""
        rewrite(self.run.events, edit, rechain=rechain)

    @property
    def split(self) -> Path:
        """Return the split file of seed 0, which three runs share."""
        return self.folder.split(lines(self.run.events)[0]["split"]["digest"])


@pytest.fixture(scope="session")
def valid_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("valid") / "study"
    for record in sorted(build_study(path).records.rglob("events.jsonl")):
        rewrite(record, one_second_per_line)
    return path


def one_second_per_line(events: list[dict[str, Any]]) -> None:
    """Give every line its own time, however fast the study was built."""
    for number, event in enumerate(events):
        event["time"] = f"2026-01-01T00:00:{number:02d}.000+00:00"


@pytest.fixture
def victim(valid_study: Path, tmp_path: Path) -> Victim:
    shutil.copytree(valid_study, tmp_path / "study")
    return Victim(StudyFolder(tmp_path / "study"), obedient_study())
