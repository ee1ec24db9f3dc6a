"""Verbs that plan and run a study, and show its progress."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runners.cli.options import AsJson, DataRoot, Device, ExtraStrategies, Folder, Jobs, Out, StudyFile, Threads
from runners.cli.verbs import call, start_fork_server

app = typer.Typer()
PANEL = "Run a study"


@app.command(rich_help_panel=PANEL)
def plan(
    study: StudyFile,
    strategy: ExtraStrategies = None,
    data_root: DataRoot = None,
    device: Device = "auto",
    jobs: Jobs = None,
    threads: Threads = 1,
    pilot: Annotated[
        Path | None,
        typer.Option(
            "--pilot",
            help="Folder of a smaller study that was run. Its spread shows how many seeds are needed.",
            show_default=False,
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Show what a study costs and what it can decide, before it is run.

    Prints runs, labels, expected time, the smallest p, and the effect that can be detected. With a pilot, also the
    seeds that are needed.
    """
    call("plan", locals())


@app.command(rich_help_panel=PANEL)
def run(
    study: StudyFile,
    strategy: ExtraStrategies = None,
    out: Out = None,
    data_root: DataRoot = None,
    device: Device = "auto",
    jobs: Jobs = None,
    threads: Threads = 1,
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor",
            envvar="BEATRANDOM_EXECUTOR",
            help="local (one process per run), inline (this process), ray or slurm.",
            show_default="the configuration's, or local",
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", help="Address of a Ray cluster, e.g. auto.", show_default="RAY_ADDRESS, or a new local cluster"
        ),
    ] = None,
    isolate: Annotated[
        bool, typer.Option("--isolate", help="Keep all labels in a separate process with its own ledger.")
    ] = False,
    predictions_only: Annotated[
        bool,
        typer.Option(
            "--predictions-only",
            help="Store no probabilities and no maps: small enough to publish, but no calibration metrics.",
        ),
    ] = False,
    only: Annotated[
        str | None, typer.Option("--only", help="Only these runs: 'strategy=entropy|margin,protocol=cifar*,seed<4'.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show which runs would be made, in order. Write nothing.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also try runs that failed 3 times in a row.")
    ] = False,
    max_hours: Annotated[
        float | None,
        typer.Option("--max-hours", min=0, help="After this time, finish the current rounds and exit with code 130."),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Longest time for one run, in minutes (not inline).")
    ] = None,
    memory: Annotated[
        float | None, typer.Option("--memory", min=0, help="Most memory for one run, in GiB (not inline).")
    ] = None,
    retries: Annotated[
        int, typer.Option("--retries", min=0, help="Further attempts when the machine fails (not inline).")
    ] = 2,
) -> None:
    """Run what is missing of a study. The same command continues it; no label is bought twice.

    Ctrl-C, SIGTERM, a closed terminal (20 s each) and SIGUSR1 (no limit) let the current rounds finish. A second
    signal stops at once. Under nohup a closed terminal changes nothing.
    """
    options = locals()
    if not dry_run:
        start_fork_server(threads, executor)
    call("run", options)


@app.command(rich_help_panel=PANEL)
def status(
    folder: Folder,
    json: AsJson = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show the status again every 2 s until all runs are done.")
    ] = False,
) -> None:
    """Show the progress of a study: runs by state, expected end, and size on disk."""
    call("status", locals())


@app.command(rich_help_panel=PANEL)
def merge(
    folder: Folder,
    sources: Annotated[
        list[Path], typer.Argument(help="Folders of the same study from other machines.", show_default=False)
    ],
) -> None:
    """Merge parts of a study that were run in several places.

    Conflicting runs are reported and left unchanged (exit code 1).
    """
    call("merge", locals())


@app.command(rich_help_panel=PANEL)
def gc(
    folder: Annotated[Path | None, typer.Argument(help="Study folder; or --cache.", show_default=False)] = None,
    cache: Annotated[bool, typer.Option("--cache", help="Clean the cache of all studies, not a study folder.")] = False,
    unused: Annotated[
        float,
        typer.Option("--unused", min=0, help="Remove cache entries that were not used for this many days. 0: all."),
    ] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    json: AsJson = False,
) -> None:
    """Remove leftovers of killed processes and finished warm starts; never evidence.

    Runs in progress are not touched.

    With **--cache**: remove decoded images and embeddings that were not used for 30 days. They are computed again
    when needed. The cache is in ~/.cache/beatrandom, or in the folder that BEATRANDOM_CACHE names. Machines may
    share it.

    Examples: `gc my-study --dry-run` · `gc --cache --dry-run` (shows the size and age of the cache) · `gc --cache
    --unused 0`.
    """
    call("gc", locals())
