"""`report`: one page that answers the question."""

from __future__ import annotations

from pathlib import Path

from analysis.figures import Material
from analysis.purchases import Purchases
from analysis.report import Subject, write_pdf, write_report
from analysis.report.sections import KINDS
from analysis.verdict import compare
from protocol.archive import opened
from protocol.folders import StudyFolder
from protocol.rules import check_study
from runners.verbs.asked import Asked
from runners.verbs.console import console

__all__ = ["Asked", "report", "subject_of"]


def report(source: Path, asked: Asked, out: Path | None, pdf: bool, data_root: Path | None) -> None:
    """See `beatrandom report --help`."""
    target = out or (StudyFolder(source).report if source.is_dir() else Path(f"beatrandom-{source.stem.removesuffix('.tar')}.html"))
    with console.status("reading the curves") as shown:
        with opened(source) as place:  # a packed study is read as it is
            subject = subject_of(place, asked, data_root)
            shown.update("drawing the figures and writing the page")
            written = [write_report(subject, target)]
        if pdf:
            shown.update("printing the page")
            written.append(write_pdf(target, target.with_suffix(".pdf")))
    for path in written:
        console.print(f"Report: {path} ({path.stat().st_size / 1e6:.1f} MB)", markup=False, soft_wrap=True)


def subject_of(source: Path, asked: Asked, data_root: Path | None) -> Subject:
    """What is to be reported of a study folder or of a table of curves. Raises InputError if it is neither."""
    curves = asked.curves(source)
    if not source.is_dir():
        return Subject(Material(curves, compare(curves)))
    folder = StudyFolder(source)
    bought = Purchases()
    if curves.bought:
        from runners.verbs.classes import purchases_of

        bought = purchases_of(folder, data_root)
    pictures = tuple(sorted(p for p in folder.pictures.glob("*/*") if p.suffix.lower() in KINDS))
    return Subject(Material(curves, compare(curves), bought), folder.read_plan(), check_study(source), pictures)
