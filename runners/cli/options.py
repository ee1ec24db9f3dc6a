"""Arguments and options that several verbs share, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[
    Path, typer.Argument(help="Study file (TOML), or the folder of a study that was started.", show_default=False)
]
Folder = Annotated[Path, typer.Argument(help="Study folder, as written by `run` or `quickstart`.", show_default=False)]
DataRoot = Annotated[
    Path | None, typer.Option("--data-root", envvar="BEATRANDOM_DATA", help="Folder that holds the data sets.")
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder to write to.", show_default="./beatrandom-NAME")]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", "-j", min=1, help="Number of runs at the same time.", show_default="one per core, or one on a GPU"
    ),
]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, ... or auto.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Threads = Annotated[
    int,
    typer.Option("--threads", min=1, help="Threads per run. Results are equal byte for byte only with equal threads."),
]
ExtraStrategies = Annotated[
    list[str] | None,
    typer.Option("--strategy", "-s", help="Add a strategy: a name, or your own `file.py:Name`. Repeatable."),
]
PresetName = Annotated[str | None, typer.Argument(help="`show`, then a name.", show_default=False)]
ShowName = Annotated[str | None, typer.Argument(show_default=False)]
Baseline = Annotated[str, typer.Option("--baseline", help="Strategy that all others are compared with.")]
Metric = Annotated[
    str | None, typer.Option("--metric", help="Metric to compare, if there are several.", show_default=False)
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="OURS=THEIRS: the name of one of our columns in the table, e.g. `strategy=method`; its number, from 1, in "
        "a table without a header. Repeatable.",
        show_default=False,
    ),
]
Wide = Annotated[
    str | None,
    typer.Option(
        "--wide",
        help="The table has one column per budget, strategy, seed, dataset or metric: name which of these.",
        show_default="recognised, and said",
    ),
]
Mismatch = Annotated[
    str,
    typer.Option(
        "--mismatch",
        help="What to do with gaps in a table: empty cells, absent rows, seeds without a partner. **list** or "
        "**drop**: leave out and list incomplete runs. **refuse**: refuse every gap. **crop**: keep the budgets that "
        "all runs share. **unpaired**: use all seeds of both sides, with Welch's test. What each loses is printed.",
    ),
]
KeepSummary = Annotated[
    bool,
    typer.Option(
        "--keep-summary",
        help="Keep rows and columns that summarise the others (average, total, mean rank); by default they are left "
        "out, and named.",
    ),
]
HigherIsBetter = Annotated[
    bool,
    typer.Option("--higher-is-better", help="Higher values of the metric are better, whatever its name says."),
]
LowerIsBetter = Annotated[
    bool,
    typer.Option("--lower-is-better", help="Lower values of the metric are better, whatever its name says."),
]
NameFrom = Annotated[
    str | None,
    typer.Option(
        "--name-from",
        help="All files are one table, with one strategy each. **file**: it is the name of the file. **folder**: of "
        "the folder that holds it. Seeds are read from the names too, if the files have none.",
        show_default=False,
    ),
]
Sheet = Annotated[
    str | None,
    typer.Option("--sheet", help="Sheet of an Excel file, if several have cells.", show_default=False),
]
Aubc = Annotated[
    str,
    typer.Option(
        "--aubc",
        help="How a curve becomes one number. **trapezoid**: its area, divided by the range of budgets. **mean**: the "
        "mean of the values at the budgets. **published-N**: its area, divided by the N of a paper.",
    ),
]
Sources = Annotated[
    list[Path],
    typer.Argument(
        help="Study folder, packed study, or table of curves (CSV, Parquet, JSON lines, Excel). Several files are one "
        "table with --name-from.",
        show_default=False,
    ),
]
Test = Annotated[
    str | None, typer.Option("--test", help="sign-flip, t or wilcoxon.", show_default="the plan's, or sign-flip")
]
Delta = Annotated[
    float | None,
    typer.Option(
        "--delta",
        help="Smaller differences count as equivalent. In units of the metric.",
        show_default="the plan's, or 0.01",
    ),
]
Alpha = Annotated[
    float | None,
    typer.Option("--alpha", help="Error rate of all tests together.", show_default="the plan's, or 0.05"),
]
Correction = Annotated[
    str | None,
    typer.Option(
        "--correction",
        help="holm, hochberg, hommel (family-wise error rate); bh, by (false discovery rate). --details "
        "has Shaffer's and Bergmann-Hommel's procedures for all pairs of strategies over data sets.",
        show_default="the plan's, or holm",
    ),
]
Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        help="Correct the tests of each protocol, dataset or regime together.",
        show_default="the plan's family",
    ),
]
At = Annotated[
    list[int] | None,
    typer.Option("--at", help="Also compare the metric at this budget. Repeatable.", show_default=False),
]
Rho = Annotated[
    float,
    typer.Option(
        "--rho",
        help="Correlation of differences: 0 for independent seeds, 1/k for k folds. Above 0, test and interval are "
        "the corrected t test (Nadeau & Bengio).",
    ),
]
TestSize = Annotated[
    int | None,
    typer.Option(
        "--test-size",
        help="Number of test images behind a table's accuracies: no interval is narrower than one image.",
        show_default="from the values; studies know it",
    ),
]
ShowColumns = Annotated[
    bool,
    typer.Option(
        "--columns", help="Show how every column, strategy, seed, budget and direction was understood, and stop."
    ),
]
Details = Annotated[
    bool,
    typer.Option(
        "--details",
        help="Also show secondary endpoints, whole curves, effect sizes, posteriors and query costs. "
        "--json always has them.",
    ),
]
