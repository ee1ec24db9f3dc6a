"""`report`: one page that answers the question."""

from __future__ import annotations

from pathlib import Path

from analysis.report import write_report
from protocol.folders import StudyFolder
from runners.verbs.console import console


def report(path: Path, out: Path | None) -> None:
    """See `beatrandom report --help`."""
    folder = StudyFolder(path)
    folder.read_plan()
    target = out or folder.report
    with console.status("rendering the report"):
        write_report(path, target)
    console.print(f"Report: {target}", markup=False)
