"""`figures` and `report`: what is looked at and what is read."""

from __future__ import annotations

from pathlib import Path

from analysis.figures import write_figures
from analysis.load import load_study
from analysis.report import write_report
from analysis.tables import write_tables
from analysis.verdict import compare
from protocol.folders import StudyFolder
from runners.verbs.console import console


def figures(path: Path, out: Path | None) -> None:
    """See `beatrandom figures --help`."""
    folder = StudyFolder(path)
    curves = load_study(path)
    comparison = compare(curves)
    target = out or folder.analysis
    written = [*write_figures(curves, comparison, target), *write_tables(comparison, target)]
    for file in written:
        console.print(str(file), markup=False)


def report(path: Path, out: Path | None) -> None:
    """See `beatrandom report --help`."""
    folder = StudyFolder(path)
    folder.read_plan()
    target = out or folder.report
    with console.status("rendering the report"):
        write_report(path, target)
    console.print(f"Report: {target}", markup=False)
