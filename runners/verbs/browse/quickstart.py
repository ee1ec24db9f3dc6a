"""`quickstart`: the whole way from protocol to verdict on embedded images."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from analysis.figures import FigureInputs, write_figures
from analysis.loading.records import load_study
from analysis.report import Subject, write_report
from analysis.verdict.decide import compare
from analysis.verdict.score_table import scores
from analysis.verdict.write_tables import write_tables
from protocol.errors import InputError, unknown_name
from protocol.record.layout import StudyFolder
from protocol.rules import check_study
from protocol.spec.protocol import Protocol
from protocol.spec.study import StrategySpec, Study
from protocol.spec.toml_files import load_preset
from runners.verbs.results.classes import purchases_of
from runners.verbs.results.compare import show
from runners.verbs.running.run import execute
from runners.verbs.shared.console import console, duration

FIGURES = ("verdicts", "learning-curves", "difference-to-random")
"""Written as files; the report has all of them."""


@dataclass(frozen=True)
class Menu:
    """What a quickstart runs, with enough seeds that the sign-flip test can reject after Holm: (tests) <= alpha 2**(seeds - 1).

    `fast` has fewer rounds: another protocol, so it has another name.
    """

    presets: tuple[str, ...]
    strategies: tuple[str, ...]
    seeds: int
    budgets: tuple[int, ...] | None = None


MENUS: Final[dict[tuple[str, bool], Menu]] = {
    ("classification", False): Menu(
        ("digits-plain", "digits-augmented"), ("random", "least-confidence", "margin", "entropy", "core-set"), seeds=10
    ),
    ("classification", True): Menu(
        ("digits-plain", "digits-augmented"), ("random", "margin"), seeds=7, budgets=(20, 40, 80)
    ),
    ("segmentation", False): Menu(
        ("digit-scenes-plain", "digit-scenes-augmented"), ("random", "entropy", "core-set"), seeds=8
    ),
    ("segmentation", True): Menu(("digit-scenes-plain",), ("random", "entropy"), seeds=6, budgets=(20, 40)),
}
"""By task, and whether it is the fast one. At most 4 x 2 = 8 tests at 10 seeds, 2 x 2 = 4 at 8, 2 at 7, 1 at 6."""


def study(fast: bool, task: str = "classification") -> Study:
    """The quickstart's study. Raises InputError for a task that has none."""
    tasks = sorted({name for name, _ in MENUS})
    if task not in tasks:
        raise InputError(unknown_name("--task", task, tasks))
    menu = MENUS[task, fast]
    name = "quickstart" if task == "classification" else f"quickstart-{task}"
    return Study(
        name=f"{name}-fast" if fast else name,
        protocols=tuple(
            _shorter(load_preset(p), menu.budgets) if menu.budgets else load_preset(p) for p in menu.presets
        ),
        strategies=tuple(StrategySpec(name=s) for s in menu.strategies),
        seeds=tuple(range(menu.seeds)),
    )


def _shorter(protocol: Protocol, budgets: tuple[int, ...]) -> Protocol:
    return protocol.model_copy(update={"name": f"{protocol.name}-fast", "budgets": budgets, "provenance": {}})


def quickstart(out: Path, fast: bool, slots: int | None, task: str = "classification") -> None:
    """See `beatrandom quickstart --help`."""
    began = time.perf_counter()
    folder = StudyFolder(out)
    if execute(study(fast, task), folder, Path(), None, "cpu", slots, threads=1):
        raise typer.Exit(1)
    compliance = check_study(out)
    curves = load_study(out)
    comparison = compare(curves)
    inputs = FigureInputs(curves, comparison, purchases_of(folder, None))
    for _ in write_figures(inputs, folder.analysis, FIGURES):
        pass
    write_tables(comparison, folder.analysis, scores(curves, comparison))
    with console.status("rendering the report"):
        write_report(Subject(inputs, folder.read_plan(), compliance), folder.report)
    show(comparison, curves)
    console.print(compliance.summary())
    console.print(
        f"Report: {folder.report}   Figures and tables: {folder.analysis}   ({duration(time.perf_counter() - began)})",
        markup=False,
    )
    if compliance.exit_code:
        raise typer.Exit(compliance.exit_code)
