"""One valid study a session; each test tampers with a copy of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from study_builder import build_study, lines, make_study, rewrite

from protocol.folders import RunFolder, StudyFolder
from protocol.spec import Study

Edit = Callable[[list[dict[str, Any]]], Any]


@dataclass(frozen=True)
class Victim:
    """A copy of the valid study, and the run that is tampered with: strategy `first`, seed 0."""

    folder: StudyFolder
    study: Study

    @property
    def run(self) -> RunFolder:
        return self.folder.run("small", "first", 0)

    def edit(self, edit: Edit, *, rechain: bool = True) -> None:
        """Change the victim's record; by default the forger mends the chain too."""
        rewrite(self.run.events, edit, rechain=rechain)

    @property
    def split(self) -> Path:
        """The split file of seed 0, which three runs share."""
        return self.folder.split(lines(self.run.events)[0]["split"]["digest"])


@pytest.fixture(scope="session")
def valid_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("valid") / "study"
    build_study(path)
    return path


@pytest.fixture
def victim(valid_study: Path, tmp_path: Path) -> Victim:
    shutil.copytree(valid_study, tmp_path / "study")
    return Victim(StudyFolder(tmp_path / "study"), make_study())
