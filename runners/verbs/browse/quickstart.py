"""`quickstart`: from protocol to verdict on built-in images."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from analysis.figures import FigureInputs, write_figures
from analysis.loading.records import load_study
from analysis.report import Subject, write_report
from analysis.verdict.decide import compare
from analysis.verdict.score_table import scores
from analysis.verdict.write_tables import write_tables
from protocol.record.layout import StudyFolder
from protocol.rules import check_study
from runners.purchases.load import load_purchases
from runners.study import Interrupted, quickstart_study, run_study
from runners.terminal.console import console, duration
from runners.verbs.results.compare import show

FIGURES = ("verdicts", "learning-curves", "difference-to-random")
"""Figures that are written as files; the report has all of them."""


def quickstart(out: Path | None, task: str, fast: bool, jobs: int | None) -> None:
    """See `beatrandom quickstart --help`."""
    began = time.perf_counter()
    suffix = "" if task == "classification" else f"-{task}"
    folder = StudyFolder(out or Path(f"beatrandom-quickstart{suffix}"))
    try:
        result = run_study(quickstart_study(task, fast=fast), folder.path, jobs=jobs)
    except Interrupted:
        raise typer.Exit(130) from None
    if result.failed:
        raise typer.Exit(1)
    compliance = check_study(folder.path)
    curves = load_study(folder.path)
    comparison = compare(curves)
    inputs = FigureInputs(curves, comparison, load_purchases(folder.path))
    for _ in write_figures(inputs, folder.analysis, FIGURES):
        pass
    write_tables(comparison, folder.analysis, scores(curves, comparison))
    with console.status("writing the report"):
        write_report(Subject(inputs, folder.read_plan(), compliance), folder.report)
    show(comparison, curves)
    console.print(compliance.summary())
    console.print(
        f"Report: {folder.report}   Figures and tables: {folder.analysis}   ({duration(time.perf_counter() - began)})",
        markup=False,
    )
    if compliance.exit_code:
        raise typer.Exit(compliance.exit_code)
