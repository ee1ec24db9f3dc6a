"""`amend`: change the plan of a study that was started, openly."""

from __future__ import annotations

from pathlib import Path

from protocol.record.amendments import amend as change
from protocol.record.layout import StudyFolder
from runners.progress.status import copy_own_files
from runners.verbs.shared.console import console
from runners.verbs.shared.inputs import read


def amend(folder: Path, study: Path, reason: str, data_root: Path | None = None) -> None:
    """See `beatrandom amend --help`."""
    there = StudyFolder(folder)
    there.read_plan()
    resolved, beside, _ = read(study, [], data_root)
    change(there, resolved, reason)
    copy_own_files(there, resolved, beside)
    console.print(
        f"{folder}: the plan is now {resolved.fingerprint[:12]}; the earlier one is kept and `check` shows the change",
        markup=False,
    )
