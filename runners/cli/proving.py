"""Evidence: check, replay, seal and hand it on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runners.cli.options import AsJson, DataRoot, Folder

app = typer.Typer()
PANEL = "Show that it is honest"


@app.command(rich_help_panel=PANEL)
def check(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="Study folder or packed study, one record (.jsonl), or a table of curves (CSV).", show_default=False
        ),
    ] = None,
    indices: Annotated[
        Path | None, typer.Option("--indices", help="Folder of another project's labelled indices.", show_default=False)
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", help="Preset or TOML to check a table or indices against.", show_default=False),
    ] = None,
    json: AsJson = False,
    format: Annotated[str, typer.Option("--format", help="table, json, sarif, junit or github.")] = "table",
    badge: Annotated[bool, typer.Option("--badge", help="One line for an appendix.")] = False,
    checklist: Annotated[
        str | None,
        typer.Option("--checklist", help="markdown or latex: a filled evaluation checklist.", show_default=False),
    ] = None,
    explain: Annotated[
        str | None, typer.Option("--explain", help="The page of one rule, e.g. BUD-01.", show_default=False)
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="JSON Schema of --format json.")] = False,
) -> None:
    """Was the protocol obeyed? Rule by rule: obeyed, broken, or cannot be verified. Exit code 0, 1, 3."""
    from runners.verbs.evidence import check as verb

    if explain is not None:
        verb.explain(explain)
    elif schema:
        verb.schema()
    else:
        verb.check(path, indices, protocol, "json" if json and format == "table" else format, badge, checklist)


@app.command(rich_help_panel=PANEL)
def amend(
    folder: Folder,
    study: Annotated[Path, typer.Argument(help="The new plan, as TOML.", show_default=False)],
    reason: Annotated[str, typer.Option("--reason", help="Why; shown with the results.", show_default=False)],
    data_root: DataRoot = None,
) -> None:
    """Change the plan of a started study, openly: more seeds, say. The earlier plan is kept and every check shows the change."""
    from runners.verbs.running import amend as verb

    verb.amend(folder, study, reason, data_root)


@app.command(rich_help_panel=PANEL)
def replay(
    path: Annotated[
        Path, typer.Argument(help="A run's folder (or its events.jsonl), or a study folder.", show_default=False)
    ],
    round_: Annotated[int | None, typer.Option("--round", min=0, help="Only this round.", show_default="all")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every run of the study.")] = False,
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, help="So many runs of the study, drawn by --seed.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws the sample.")] = 0,
    data_root: DataRoot = None,
    device: Annotated[
        str, typer.Option("--device", help="Where to train again; `recorded` is where it was trained.")
    ] = "recorded",
    trials: Annotated[
        bool,
        typer.Option(
            "--trials",
            help="Make the trials of a tuned protocol again, too; else the recorded ones are taken for granted.",
        ),
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the outcome in the study for `check` (rule QRY-06).")
    ] = False,
    json: AsJson = False,
) -> None:
    """Choose again: retrain from the recorded seeds; compare predictions, metric and queries. Exit 1: others; 3: not decidable."""
    from runners.verbs.evidence import replay as verb

    verb.replay(path, round_, every, sample, seed, data_root, device, trials, keep, json)


@app.command(rich_help_panel=PANEL)
def seal(
    folder: Folder,
    sign: Annotated[
        Path | None,
        typer.Option("--sign", help="Sign the manifest with this SSH key (ssh-keygen -Y).", show_default=False),
    ] = None,
    json: AsJson = False,
) -> None:
    """Fix all evidence of a study by one number: a manifest of every record's head and every file's digest."""
    from runners.verbs.evidence import seal as verb

    verb.seal(folder, sign, json)


@app.command(rich_help_panel=PANEL)
def verify(
    folder: Folder,
    signers: Annotated[
        Path | None, typer.Option("--signers", help="Allowed signers, as ssh-keygen reads them.", show_default=False)
    ] = None,
    identity: Annotated[
        str | None, typer.Option("--identity", help="Who must have signed.", show_default=False)
    ] = None,
    json: AsJson = False,
) -> None:
    """Is a sealed study unchanged, and who signed it? Exit 1: changed or badly signed; 3: not signed."""
    from runners.verbs.evidence import seal as verb

    verb.verify(folder, signers, identity, json)


@app.command(rich_help_panel=PANEL)
def pack(
    folder: Folder,
    out: Annotated[Path | None, typer.Option("--out", help="File to write.", show_default="FOLDER.tar.xz")] = None,
) -> None:
    """Put a sealed study into one small file to publish; `check` reads it as it is, `unpack` restores the folder."""
    from runners.verbs.evidence import pack as verb

    verb.pack(folder, out)


@app.command(rich_help_panel=PANEL)
def unpack(
    archive: Annotated[Path, typer.Argument(help="As written by `pack`.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to.", show_default="the archive's name, here")
    ] = None,
) -> None:
    """Restore a packed study, and see that it is what its manifest says."""
    from runners.verbs.evidence import pack as verb

    verb.unpack(archive, out)


@app.command(rich_help_panel=PANEL)
def export(
    source: Annotated[Path, typer.Argument(help="Study folder or packed study.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write to.", show_default="./NAME-tables")] = None,
    format: Annotated[str, typer.Option("--format", help="Of the tables: parquet or csv.")] = "parquet",
    to: Annotated[
        str,
        typer.Option("--to", help="tables, or the curves for tensorboard, mlflow (a local store) or wandb (offline)."),
    ] = "tables",
) -> None:
    """Write a study for pandas, DuckDB, R or an experiment tracker: curves, runs and the ledger of every purchase, rebuilt from its records.

    **curves**: complete runs. **runs**: every planned run with its state, attempts, labels, seconds, digest of its environment.
    **ledger**: a row per label bought: round, purpose, index, labels paid for before and after the lot. Labels themselves are not recorded.
    """
    from runners.verbs.results import export as verb

    verb.export(source, out, format, to)
