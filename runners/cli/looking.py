"""Look around: what there is, before anything is run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runners.cli.options import AsJson, DataRoot, Jobs, PresetName, ShowName

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
    """Which strategies beat random on real images, with and without augmentation? Needs no data, a few minutes."""
    from runners.executors.server import warm_up

    warm_up()
    from runners.verbs.browse import quickstart as verb

    default = Path("beatrandom-quickstart" if task == "classification" else f"beatrandom-quickstart-{task}")
    verb.quickstart(out or default, fast, jobs, task)


@app.command(rich_help_panel=PANEL)
def protocols(action: PresetName = None, name: ShowName = None, json: AsJson = False) -> None:
    """List the protocols that ship with the project, or `show NAME`: every value, published or our choice."""
    from runners.verbs.browse import catalogue as verb

    verb.protocols(action, name, json)


@app.command(rich_help_panel=PANEL)
def strategies(action: PresetName = None, name: ShowName = None, json: AsJson = False) -> None:
    """List the query strategies, or `show NAME`: its page."""
    from runners.verbs.browse import catalogue as verb

    verb.strategies(action, name, json)


@app.command(rich_help_panel=PANEL)
def regimes(json: AsJson = False) -> None:
    """List the training regimes used by the presets, with their recipes."""
    from runners.verbs.browse import catalogue as verb

    verb.regimes(json)


@app.command(rich_help_panel=PANEL)
def datasets(data_root: DataRoot = None, json: AsJson = False) -> None:
    """List the data sets: what is known of each, whether it is found (files are looked for, not read), and where it is looked for."""
    from runners.verbs.browse import catalogue as verb

    verb.datasets(data_root, json)
