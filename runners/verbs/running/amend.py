"""`amend`: change the plan of a started study openly."""

from __future__ import annotations

from pathlib import Path

from protocol.record.amendments import amend as write_amendment
from protocol.record.layout import StudyFolder
from runners.progress.status import copy_own_files
from runners.study import read_source
from runners.terminal.console import console


def amend(folder: Path, study: Path, reason: str, data_root: Path | None = None) -> None:
    """See `beatrandom amend --help`."""
    study_folder = StudyFolder(folder)
    study_folder.read_plan()
    study_folder.refuse_links()
    new, base, _ = read_source(study, data_root=data_root)
    write_amendment(study_folder, new, reason)
    copy_own_files(study_folder, new, base)
    console.print(
        f"{folder}: the plan is now {new.fingerprint[:12]}; the earlier plan is kept, and `check` shows the change",
        markup=False,
    )
