"""`report`: one page that answers the question."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from analysis.figures import FigureInputs
from analysis.report import Subject, write_pdf, write_report
from analysis.report.sections import KINDS
from analysis.secondary.purchases import Purchases
from analysis.verdict.decide import compare
from protocol.record.layout import StudyFolder
from protocol.rules import Compliance, check_study
from protocol.seal.archive import open_study
from runners.verbs.results.asked import Asked
from runners.verbs.shared.console import console, cores

LARGE: Final = 200
"""Planned runs from which on it pays to start a process that checks."""

__all__ = ["Asked", "report", "subject_of"]


def report(source: Path, asked: Asked, out: Path | None, pdf: bool, data_root: Path | None) -> None:
    """See `beatrandom report --help`."""
    target = out or (
        StudyFolder(source).report if source.is_dir() else Path(f"beatrandom-{source.stem.removesuffix('.tar')}.html")
    )
    with console.status("reading the curves") as shown:
        with open_study(source) as place:  # a packed study is read as it is
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
    if not source.is_dir():
        curves = asked.curves(source)
        return Subject(FigureInputs(curves, compare(curves)))
    folder = StudyFolder(source)
    with _checked(folder) as compliance:
        curves = asked.curves(source)
        bought = Purchases()
        if curves.bought:
            from runners.verbs.results.classes import purchases_of

            bought = purchases_of(folder, data_root)
        pictures = tuple(sorted(p for p in folder.pictures.glob("*/*") if p.suffix.lower() in KINDS))
        inputs = FigureInputs(curves, compare(curves), bought)
        return Subject(inputs, folder.read_plan(), compliance(), pictures)


@contextmanager
def _checked(folder: StudyFolder) -> Iterator[Callable[[], Compliance]]:
    """The check of a study; of a large one, by a process beside this one."""
    study = folder.read_plan()
    if len(study.protocols) * len(study.strategies) * len(study.seeds) < LARGE or cores() < 2:
        yield lambda: check_study(folder.path)
        return
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool.submit(check_study, folder.path).result
