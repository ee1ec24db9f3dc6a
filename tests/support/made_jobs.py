"""Jobs of a study in a folder of its own, ready to be performed in this process."""

from __future__ import annotations

from pathlib import Path

from protocol.folders import StudyFolder
from protocol.spec import Study
from runners.job import Job
from runners.study import adopt, jobs, planned


def made(path: Path, study: Study, *, isolate: bool = False) -> list[Job]:
    folder = StudyFolder(path)
    adopt(folder, study, path)
    return jobs(folder, study, None, "cpu", 1, planned(study), isolate)
