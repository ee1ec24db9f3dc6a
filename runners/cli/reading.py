"""What came out: verdicts, figures, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runners.cli.options import AsJson, Baseline, Column, DataRoot, Metric, Mismatch, Source, Wide

app = typer.Typer()
PANEL = "Read what came out"


@app.command(rich_help_panel=PANEL)
def compare(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Study folders, packed studies or tables of curves (CSV, Parquet); one answer each.",
            show_default=False,
        ),
    ],
    baseline: Baseline = "random",
    metric: Metric = None,
    test: Annotated[
        str | None, typer.Option("--test", help="sign-flip, t or wilcoxon.", show_default="the plan's, or sign-flip")
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(
            "--delta",
            help="Differences below this are equivalent; in the metric's units.",
            show_default="the plan's, or 0.01",
        ),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option("--alpha", help="Error rate of the family.", show_default="the plan's, or 0.05")
    ] = None,
    correction: Annotated[
        str | None,
        typer.Option(
            "--correction",
            help="holm, hochberg, hommel (family-wise error); bh, by (false discovery rate).",
            show_default="the plan's, or holm",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            help="Correct the tests together within each protocol, dataset or regime.",
            show_default="the plan's family",
        ),
    ] = None,
    at: Annotated[
        list[int] | None,
        typer.Option("--at", help="Also compare the metric at this budget. Repeatable.", show_default=False),
    ] = None,
    rho: Annotated[
        float,
        typer.Option(
            "--rho",
            help="Correlation of differences in the correlated t posterior: 0 for independent seeds, 1/k for k folds.",
        ),
    ] = 0.0,
    mismatch: Mismatch = "list",
    column: Column = None,
    wide: Wide = None,
    details: Annotated[
        bool,
        typer.Option(
            "--details",
            help="Also secondary endpoints, whole curves, effect sizes, posteriors, cost of queries (always in --json).",
        ),
    ] = False,
    json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print a LaTeX (booktabs) table.")] = False,
) -> None:
    """Who is better than random, worse, equivalent, undecided; with intervals and corrected tests.

    A table has a row per measurement: **strategy, value** (higher is better; of nll, errors and losses, by the name of the metric, lower), **seed**, **budget**; optional **dataset, regime, metric, protocol**.
    Pairs are seeds; without a seed column, data sets. Without a budget column, the value itself is compared.

    Examples: `compare curves.csv --baseline Random` · `compare wide.csv --wide budget --column strategy=method` ·
    `compare published.csv --wide strategy --baseline C4.5` · `compare mine theirs.tar.xz`, one after the other, each corrected by
    itself. Mean curves are drawn on one scale within a protocol, a block a budget. What a study did not plan is marked exploratory.
    """
    from runners.verbs.results import compare as verb

    asked = verb.Asked(
        baseline,
        metric,
        test,
        delta,
        alpha,
        correction,
        group,
        tuple(at or ()),
        rho,
        mismatch,
        tuple(column or ()),
        wide,
    )
    verb.compare(sources, asked, details, json, markdown, latex)


@app.command(rich_help_panel=PANEL)
def figures(
    source: Source,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder to write to.", show_default="FOLDER/analysis, or ./beatrandom-NAME for a table"
        ),
    ] = None,
    style: Annotated[
        str,
        typer.Option(
            "--style", help="Widths and face of a venue: plain, neurips, icml, iclr, tmlr, jmlr, cvpr, ieee, acm."
        ),
    ] = "plain",
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Only this figure, e.g. `learning-curves`. Repeatable.", show_default="all"),
    ] = None,
    format: Annotated[str, typer.Option("--format", help="pdf, svg, png; several with commas.")] = "pdf,svg,png",
    baseline: Baseline = "random",
    metric: Metric = None,
    column: Column = None,
    wide: Wide = None,
    mismatch: Mismatch = "list",
    data_root: DataRoot = None,
) -> None:
    """Write the figures, each with its data (CSV) and a caption that states n, band and test, and the tables of verdicts.

    Figures: verdicts, learning-curves, difference-to-random, mean-ranks, penalty-matrix, performance-profile,
    probability-of-improvement, labels-saved, levers, interaction, ranking-stability, power, query-cost, class-balance, overlap,
    calibration, reliability, class-iou, contact-sheet, changed-predictions. What a study has no data for is named with the reason.

    Examples: `figures my-study --style neurips --format pdf` · `figures curves.csv --baseline Random --only learning-curves`.
    """
    from runners.verbs.results import figures as verb

    asked = verb.Asked(baseline=baseline, metric=metric, mismatch=mismatch, column=tuple(column or ()), wide=wide)
    formats = tuple(part.strip() for part in format.split(","))
    verb.figures(source, asked, verb.Look(style, tuple(only or ()), formats), out, data_root)


@app.command(rich_help_panel=PANEL)
def card(
    source: Annotated[Path, typer.Argument(help="Study folder or packed study.", show_default=False)],
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="Only this one.", show_default="all, a page each")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to.", show_default="FOLDER/analysis")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="png, pdf or svg.")] = "png",
) -> None:
    """Write a result card a protocol: one page with curves, verdicts in words, what was fixed, and fingerprints to cite."""
    from runners.verbs.results import card as verb

    verb.cards(source, protocol, out, format)


@app.command(rich_help_panel=PANEL)
def report(
    source: Source,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="HTML file.", show_default="FOLDER/report.html, or ./beatrandom-NAME.html for a table"
        ),
    ] = None,
    pdf: Annotated[
        bool,
        typer.Option("--pdf", help="Also print it as PDF beside the page, by an installed Chromium, Chrome or Edge."),
    ] = False,
    baseline: Baseline = "random",
    metric: Metric = None,
    column: Column = None,
    wide: Wide = None,
    mismatch: Mismatch = "list",
    data_root: DataRoot = None,
) -> None:
    """Write one self-contained HTML page: the answer first, then verdicts, curves, compliance, levers, purchases, costs.

    It needs no network, prints, and holds the data of every figure. Pictures under FOLDER/pictures/PROTOCOL/STRATEGY.png (with a
    caption in a .txt beside each) are shown with what was bought.
    """
    from runners.verbs.results import report as verb

    asked = verb.Asked(baseline=baseline, metric=metric, mismatch=mismatch, column=tuple(column or ()), wide=wide)
    verb.report(source, asked, out, pdf, data_root)


@app.command(rich_help_panel=PANEL)
def serve(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Study folders.", show_default="those in the current folder")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of 127.0.0.1; 0: any free one.")] = 8765,
) -> None:
    """Browse studies while they run, in a browser on this machine only: progress, interim curves, failed runs and their errors.

    Nothing is written and nobody else can look: the page is bound to 127.0.0.1. Ctrl-C ends it; runs are not touched.
    """
    from runners.verbs.running import serve as verb

    verb.serve(folders or [], port)
