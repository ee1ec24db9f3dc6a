"""Verbs for results: verdicts, figures and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runners.cli.options import (
    Alpha,
    AsJson,
    At,
    Aubc,
    Baseline,
    Column,
    Correction,
    DataRoot,
    Delta,
    Details,
    Group,
    HigherIsBetter,
    KeepSummary,
    LowerIsBetter,
    Metric,
    Mismatch,
    NameFrom,
    Rho,
    Sheet,
    ShowColumns,
    Sources,
    Test,
    TestSize,
    Wide,
)
from runners.cli.verbs import call

app = typer.Typer()
PANEL = "Read what came out"


@app.command(rich_help_panel=PANEL)
def compare(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Study folders, packed studies or tables of curves (CSV, Parquet, JSON lines, Excel). Each is "
            "compared on its own, unless --name-from makes one table of them.",
            show_default=False,
        ),
    ],
    baseline: Baseline = "random",
    metric: Metric = None,
    higher_is_better: HigherIsBetter = False,
    lower_is_better: LowerIsBetter = False,
    test: Test = None,
    delta: Delta = None,
    alpha: Alpha = None,
    correction: Correction = None,
    group: Group = None,
    at: At = None,
    rho: Rho = 0.0,
    test_size: TestSize = None,
    mismatch: Mismatch = "list",
    column: Column = None,
    wide: Wide = None,
    keep_summary: KeepSummary = False,
    name_from: NameFrom = None,
    sheet: Sheet = None,
    aubc: Aubc = "trapezoid",
    columns: ShowColumns = False,
    details: Details = False,
    json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print a LaTeX (booktabs) table.")] = False,
) -> None:
    """Show which strategies are better than random, worse, equivalent or undecided.

    A table has one row per measurement. Columns: **strategy, value, seed, budget**, and optionally **dataset,
    regime, metric, protocol**. The direction of the metric follows from its name (accuracy: higher, WER: lower)
    and is always printed; of an unknown name, higher is better. `--lower-is-better` or `--higher-is-better` overrules
    it. Runs are paired by seed, or by data set if there is no seed column. Without a budget column, the values
    themselves are compared. A table without a header, and one with a column per seed, budget or strategy, are
    recognised; so are exports of Weights & Biases and TensorBoard. `--columns` shows how a file was understood.

    Examples: `compare curves.csv --baseline Random` · `compare wide.csv --wide budget --column strategy=method` ·
    `compare published.csv --wide strategy --baseline C4.5` · `compare mine theirs.tar.xz` (each is corrected on its
    own). Mean curves share one scale within a protocol, with one block per budget. What a study did not plan is
    marked exploratory.
    """
    call("compare", locals())


@app.command(rich_help_panel=PANEL)
def figures(
    sources: Sources,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder to write to.", show_default="FOLDER/analysis, or ./beatrandom-NAME for a table"
        ),
    ] = None,
    style: Annotated[
        str,
        typer.Option(
            "--style", help="Widths and typeface of a venue: plain, neurips, icml, iclr, tmlr, jmlr, cvpr, ieee, acm."
        ),
    ] = "plain",
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Only this figure, e.g. `learning-curves`. Repeatable.", show_default="all"),
    ] = None,
    format: Annotated[str, typer.Option("--format", help="pdf, svg, png; several with commas.")] = "pdf,svg,png",
    baseline: Baseline = "random",
    metric: Metric = None,
    higher_is_better: HigherIsBetter = False,
    lower_is_better: LowerIsBetter = False,
    column: Column = None,
    wide: Wide = None,
    keep_summary: KeepSummary = False,
    name_from: NameFrom = None,
    sheet: Sheet = None,
    aubc: Aubc = "trapezoid",
    mismatch: Mismatch = "list",
    data_root: DataRoot = None,
) -> None:
    """Write the figures, each with its data (CSV) and a caption, and the tables of verdicts.

    Figures: verdicts, learning-curves, difference-to-random, mean-ranks, penalty-matrix, performance-profile,
    probability-of-improvement, labels-saved, levers, interaction, ranking-stability, power, query-cost,
    class-balance, overlap, calibration, reliability, class-iou, contact-sheet, changed-predictions. If a study
    lacks the data for a figure, the reason is printed.

    Examples: `figures my-study --style neurips --format pdf` · `figures curves.csv --baseline Random --only
    learning-curves`.
    """
    call("figures", locals())


@app.command(rich_help_panel=PANEL)
def card(
    source: Annotated[Path, typer.Argument(help="Study folder or packed study.", show_default=False)],
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="Only this protocol.", show_default="all, one page each")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to.", show_default="FOLDER/analysis")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="png, pdf or svg.")] = "png",
) -> None:
    """Write one result card per protocol: curves, verdicts, what was fixed, and fingerprints."""
    call("card", locals())


@app.command(rich_help_panel=PANEL)
def report(
    sources: Sources,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="HTML file.", show_default="FOLDER/report.html, or ./beatrandom-NAME.html for a table"
        ),
    ] = None,
    pdf: Annotated[
        bool,
        typer.Option(
            "--pdf", help="Also print it as PDF next to the page, with an installed Chromium, Chrome or Edge."
        ),
    ] = False,
    baseline: Baseline = "random",
    metric: Metric = None,
    higher_is_better: HigherIsBetter = False,
    lower_is_better: LowerIsBetter = False,
    column: Column = None,
    wide: Wide = None,
    keep_summary: KeepSummary = False,
    name_from: NameFrom = None,
    sheet: Sheet = None,
    aubc: Aubc = "trapezoid",
    mismatch: Mismatch = "list",
    data_root: DataRoot = None,
) -> None:
    """Write one self-contained HTML page with the answer, its evidence and its costs.

    The page needs no network, can be printed, and holds the data of every figure. Pictures at
    FOLDER/pictures/PROTOCOL/STRATEGY.png are shown with the purchases, with captions from .txt files of the same
    name.
    """
    call("report", locals())


@app.command(rich_help_panel=PANEL)
def serve(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Study folders.", show_default="those in the current folder")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0: any free port.")] = 8765,
) -> None:
    """Browse studies while they run: progress, interim curves, and failed runs with their errors.

    The page is only reachable from this machine (127.0.0.1). Nothing is written. Ctrl-C ends it; runs are not
    affected.
    """
    call("serve", locals())
