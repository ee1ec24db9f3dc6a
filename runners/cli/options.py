"""Arguments that several verbs take, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[
    Path, typer.Argument(help="Study as TOML, or the folder of a study that was started.", show_default=False)
]
Folder = Annotated[Path, typer.Argument(help="Study folder, as written by `run` or `quickstart`.", show_default=False)]
DataRoot = Annotated[
    Path | None, typer.Option("--data-root", envvar="BEATRANDOM_DATA", help="Where data sets lie on disk.")
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder to write to.", show_default="./beatrandom-NAME")]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, help="Runs side by side.", show_default="one a core, or 1 on a GPU")
]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 … or auto.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads a run; equal bytes need equal threads.")]
ExtraStrategies = Annotated[
    list[str] | None,
    typer.Option("--strategy", "-s", help="Add a strategy: a name, or your own `file.py:Name`. Repeatable."),
]
PresetName = Annotated[str | None, typer.Argument(help="`show`, then a name.", show_default=False)]
ShowName = Annotated[str | None, typer.Argument(show_default=False)]
Baseline = Annotated[str, typer.Option("--baseline", help="The strategy that the others are compared with.")]
Metric = Annotated[str | None, typer.Option("--metric", help="Which metric, if there are several.", show_default=False)]
Column = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="OURS=THEIRS: what a column is called in the table, e.g. `strategy=method`. Repeatable.",
        show_default=False,
    ),
]
Wide = Annotated[
    str | None,
    typer.Option(
        "--wide",
        help="Columns without another meaning are values of: budget, strategy, seed, dataset or metric.",
        show_default=False,
    ),
]
Mismatch = Annotated[
    str,
    typer.Option(
        "--mismatch",
        help="Gaps in a table. **list**: leave out and list runs with empty cells or no partner, refuse unequal budgets. **refuse**: refuse all. "
        "**crop**: cut to the budgets all runs share. **unpaired**: use every seed of either side, Welch's test.",
    ),
]
Source = Annotated[
    Path, typer.Argument(help="Study folder, packed study, or a table of curves (CSV, Parquet).", show_default=False)
]
