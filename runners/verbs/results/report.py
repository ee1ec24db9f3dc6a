"""`report`: one HTML page with the answer and its evidence."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from analysis.figures import FigureInputs
from analysis.report import Subject, write_pdf, write_report
from analysis.report.sections import KINDS
from analysis.secondary.purchases import Purchases
from analysis.verdict.decide import compare
from protocol.record.layout import StudyFolder
from protocol.rules import Compliance, check_study
from protocol.seal.archive import open_study
from runners.purchases.load import load_purchases
from runners.terminal.console import console, cores
from runners.verbs.results.compare_options import CompareOptions, one_source, stem

LARGE: Final = 200
"""From this number of planned runs, it pays to check them in a second process."""


def report(*, sources: Sequence[Path], out: Path | None, pdf: bool, data_root: Path | None, **options: Any) -> None:
    """See `beatrandom report --help`; `options` are fields of `CompareOptions`."""
    chosen = CompareOptions.of(**options)
    chosen.refuse_faults()
    source, *others = one_source(sources, chosen)
    target = out or (StudyFolder(source).report if chosen.is_study(source) else Path(f"beatrandom-{stem(source)}.html"))
    with console.status("reading the curves") as line:
        with open_study(source) as folder:
            subject = subject_of(folder, chosen, data_root, *others)
            line.update("drawing the figures and writing the page")
            written = [write_report(subject, target)]
        if pdf:
            line.update("printing the page")
            written.append(write_pdf(target, target.with_suffix(".pdf")))
    for path in written:
        console.print(f"Report: {path} ({path.stat().st_size / 1e6:.1f} MB)", markup=False, soft_wrap=True)


def subject_of(source: Path, options: CompareOptions, data_root: Path | None, *others: Path) -> Subject:
    """Collect what the report shows of a study folder or of a table of curves.

    Raises:
        InputError: `source` is neither, or an option is wrong.
    """
    if not options.is_study(source, *others):
        curves = options.curves(source, *others)
        return Subject(FigureInputs(curves, compare(curves)))
    folder = StudyFolder(source)
    with _checked(folder) as compliance:
        curves = options.curves(source)
        bought = load_purchases(source, data_root) if curves.bought else Purchases()
        pictures = tuple(
            sorted(p for p in folder.pictures.glob("*/*") if p.suffix.lower() in KINDS and folder.holds(p))
        )
        inputs = FigureInputs(curves, compare(curves), bought)
        return Subject(inputs, folder.read_plan(), compliance(), pictures)


@contextmanager
def _checked(folder: StudyFolder) -> Iterator[Callable[[], Compliance]]:
    """Yield a function that returns the check; a second process checks large studies meanwhile."""
    study = folder.read_plan()
    if len(study.protocols) * len(study.strategies) * len(study.seeds) < LARGE or cores() < 2:
        yield lambda: check_study(folder.path)
        return
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool.submit(check_study, folder.path).result
