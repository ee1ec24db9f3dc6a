"""Verbs for evidence: check, replay, seal and publish."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runners.cli.options import AsJson, DataRoot, Folder
from runners.cli.verbs import call

app = typer.Typer()
PANEL = "Show that it is honest"


@app.command(rich_help_panel=PANEL)
def check(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="Study folder, packed study, one record (.jsonl), or a table of curves (CSV).", show_default=False
        ),
    ] = None,
    indices: Annotated[
        Path | None, typer.Option("--indices", help="Folder of labelled indices from another tool.", show_default=False)
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", help="Preset or TOML to check a table or indices against.", show_default=False),
    ] = None,
    json: AsJson = False,
    format: Annotated[str, typer.Option("--format", help="table, json, sarif, junit or github.")] = "table",
    badge: Annotated[bool, typer.Option("--badge", help="Print one line for an appendix.")] = False,
    checklist: Annotated[
        str | None,
        typer.Option("--checklist", help="markdown or latex: a filled evaluation checklist.", show_default=False),
    ] = None,
    explain: Annotated[
        str | None, typer.Option("--explain", help="Explain one rule, e.g. BUD-01.", show_default=False)
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of --format json.")] = False,
    all_: Annotated[
        bool, typer.Option("--all", help="List all rules and findings, not only what is not obeyed.")
    ] = False,
) -> None:
    """Check each rule of the protocol: obeyed (exit code 0), broken (1), or not verifiable (3)."""
    call("check", locals())


@app.command(rich_help_panel=PANEL)
def amend(
    folder: Folder,
    study: Annotated[Path, typer.Argument(help="The new plan, as TOML.", show_default=False)],
    reason: Annotated[str, typer.Option("--reason", help="Why; shown with the results.", show_default=False)],
    data_root: DataRoot = None,
) -> None:
    """Change the plan of a started study openly, e.g. add seeds.

    The earlier plan is kept, and `check` shows the change.
    """
    call("amend", locals())


@app.command(rich_help_panel=PANEL)
def replay(
    path: Annotated[
        Path, typer.Argument(help="Folder of a run (or its events.jsonl), or a study folder.", show_default=False)
    ],
    round_: Annotated[int | None, typer.Option("--round", min=0, help="Only this round.", show_default="all")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every run of the study.")] = False,
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, help="This many runs of the study, drawn by --seed.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed that draws the sample.")] = 0,
    data_root: DataRoot = None,
    device: Annotated[
        str, typer.Option("--device", help="Device to train on; `recorded`: the one in the record.")
    ] = "recorded",
    trials: Annotated[
        bool,
        typer.Option(
            "--trials",
            help="Also repeat the tuning trials of a tuned protocol. Without it, the recorded trials are trusted.",
        ),
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Store the outcome in the study for `check` (rule QRY-06).")
    ] = False,
    json: AsJson = False,
) -> None:
    """Train again from the recorded seeds, and compare predictions, metrics and queries.

    Exit code 1: some are different; 3: not decidable.
    """
    call("replay", locals())


@app.command(rich_help_panel=PANEL)
def seal(
    folder: Folder,
    sign: Annotated[
        Path | None,
        typer.Option("--sign", help="Sign the manifest with this SSH key (ssh-keygen -Y).", show_default=False),
    ] = None,
    json: AsJson = False,
) -> None:
    """Fix all evidence of a study by one number: the digest of a manifest of all files."""
    call("seal", locals())


@app.command(rich_help_panel=PANEL)
def verify(
    folder: Folder,
    signers: Annotated[
        Path | None, typer.Option("--signers", help="Allowed signers file of ssh-keygen.", show_default=False)
    ] = None,
    identity: Annotated[
        str | None, typer.Option("--identity", help="Who must have signed.", show_default=False)
    ] = None,
    json: AsJson = False,
) -> None:
    """Check that a sealed study is unchanged, and who signed it.

    Exit code 1: a file was changed or the signature is invalid; 3: not signed.
    """
    call("verify", locals())


@app.command(rich_help_panel=PANEL)
def pack(
    folder: Folder,
    out: Annotated[Path | None, typer.Option("--out", help="File to write.", show_default="FOLDER.tar.xz")] = None,
) -> None:
    """Pack a sealed study into one small file to publish.

    `check` reads this file, and `unpack` restores the folder.
    """
    call("pack", locals())


@app.command(rich_help_panel=PANEL)
def unpack(
    archive: Annotated[Path, typer.Argument(help="File written by `pack`.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to.", show_default="./ with the archive's name")
    ] = None,
) -> None:
    """Restore a packed study, and check that it matches its manifest."""
    call("unpack", locals())


@app.command(rich_help_panel=PANEL)
def export(
    source: Annotated[Path, typer.Argument(help="Study folder or packed study.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write to.", show_default="./NAME-tables")] = None,
    format: Annotated[str, typer.Option("--format", help="Format of the tables: parquet or csv.")] = "parquet",
    to: Annotated[
        str,
        typer.Option("--to", help="tables, or the curves for tensorboard, mlflow (a local store) or wandb (offline)."),
    ] = "tables",
) -> None:
    """Write a study as tables for pandas, DuckDB or R, or for an experiment tracker.

    **curves**: complete runs. **runs**: every planned run with its state, attempts, labels, seconds and environment
    digest. **ledger**: one row per bought label: round, purpose, index, and labels paid for before and after its
    batch. The labels themselves are not recorded.
    """
    call("export", locals())
