"""Jobs of a study in a new folder, ready to run in this process."""

from __future__ import annotations

from pathlib import Path

from protocol.record.layout import StudyFolder
from protocol.spec.study import Study
from runners.progress.job import Job
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs


def made(path: Path, study: Study, *, isolate: bool = False) -> list[Job]:
    folder = StudyFolder(path)
    adopt(folder, study, path)
    return jobs(folder, study, None, "cpu", 1, planned_runs(study), isolate)
