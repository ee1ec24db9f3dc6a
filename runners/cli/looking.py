"""Verbs that show what there is, before anything is run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runners.cli.options import AsJson, DataRoot, Jobs, PresetName, ShowName
from runners.cli.verbs import call, start_fork_server

app = typer.Typer()
PANEL = "Look around"


@app.command(rich_help_panel=PANEL)
def quickstart(
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to.", show_default="./beatrandom-quickstart")
    ] = None,
    task: Annotated[
        str, typer.Option("--task", help="classification (digits) or segmentation (scenes of digits).")
    ] = "classification",
    fast: Annotated[bool, typer.Option("--fast", help="Fewer strategies and seeds: under a minute.")] = False,
    jobs: Jobs = None,
) -> None:
    """Compare strategies with random on built-in images. Needs no data, and takes a few minutes.

    Runs two protocols, the same images without and with augmentation, and writes a report.
    """
    options = locals()
    start_fork_server()
    call("quickstart", options)


@app.command(rich_help_panel=PANEL)
def protocols(action: PresetName = None, name: ShowName = None, json: AsJson = False) -> None:
    """List the built-in protocols. `show NAME` prints every value with its source."""
    call("protocols", locals())


@app.command(rich_help_panel=PANEL)
def strategies(action: PresetName = None, name: ShowName = None, json: AsJson = False) -> None:
    """List the query strategies. `show NAME` prints the page of one."""
    call("strategies", locals())


@app.command(rich_help_panel=PANEL)
def regimes(json: AsJson = False) -> None:
    """List the training recipes of the built-in protocols."""
    call("regimes", locals())


@app.command(rich_help_panel=PANEL)
def datasets(data_root: DataRoot = None, json: AsJson = False) -> None:
    """List the data sets, whether each was found, and where it is searched. No file is read."""
    call("datasets", locals())
