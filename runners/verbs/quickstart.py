"""`quickstart`: the whole way from protocol to verdict on embedded images."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from analysis.figures import Material, write_figures
from analysis.load import load_study
from analysis.report import Subject, write_report
from analysis.scores import scores
from analysis.tables import write_tables
from analysis.verdict import compare
from protocol.folders import StudyFolder
from protocol.reading import preset
from protocol.rules import check_study
from protocol.spec import Protocol, StrategySpec, Study
from runners.verbs.classes import purchases_of
from runners.verbs.compare import show
from runners.verbs.console import console, duration
from runners.verbs.run import execute

PRESETS = ("digits-plain", "digits-augmented")
STRATEGIES = ("random", "least-confidence", "margin", "entropy", "core-set")
FAST_STRATEGIES = ("random", "margin")
FAST_BUDGETS = (20, 40, 80)
FIGURES = ("verdicts", "learning-curves", "difference-to-random")
"""Written as files; the report has all of them."""


def study(fast: bool) -> Study:
    """The quickstart's study; enough seeds that the sign-flip test can reject after Holm.

    Strategies x protocols: 4 x 2 = 8 tests need 2**(1-n) <= .05/8, n = 9; fast: 1 x 2 = 2 need n = 7.
    """
    names, seeds = (FAST_STRATEGIES, 7) if fast else (STRATEGIES, 10)
    return Study(
        name="quickstart-fast" if fast else "quickstart",
        protocols=tuple(_shorter(preset(name)) if fast else preset(name) for name in PRESETS),
        strategies=tuple(StrategySpec(name=name) for name in names),
        seeds=tuple(range(seeds)),
    )


def _shorter(protocol: Protocol) -> Protocol:
    """The same comparison over fewer rounds: another protocol, so it has another name."""
    return protocol.model_copy(update={"name": f"{protocol.name}-fast", "budgets": FAST_BUDGETS, "provenance": {}})


def quickstart(out: Path, fast: bool, slots: int | None) -> None:
    """See `beatrandom quickstart --help`."""
    began = time.perf_counter()
    folder = StudyFolder(out)
    if execute(study(fast), folder, Path(), None, "cpu", slots, threads=1):
        raise typer.Exit(1)
    compliance = check_study(out)
    curves = load_study(out)
    comparison = compare(curves)
    material = Material(curves, comparison, purchases_of(folder, None))
    for _ in write_figures(material, folder.analysis, FIGURES):
        pass
    write_tables(comparison, folder.analysis, scores(curves, comparison))
    with console.status("rendering the report"):
        write_report(Subject(material, folder.read_plan(), compliance), folder.report)
    show(comparison)
    console.print(compliance.summary())
    console.print(
        f"Report: {folder.report}   Figures and tables: {folder.analysis}   ({duration(time.perf_counter() - began)})", markup=False
    )
    if compliance.exit_code:
        raise typer.Exit(compliance.exit_code)
