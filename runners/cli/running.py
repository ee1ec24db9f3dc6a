"""Run a study, and see how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runners.cli.options import AsJson, DataRoot, Device, ExtraStrategies, Folder, Jobs, Out, StudyFile, Threads

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
            help="Folder of a smaller study that was run: how many seeds its spread asks for.",
            show_default=False,
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Before anything is trained: runs, labels, expected time, smallest reachable p, detectable effect; with a pilot, seeds needed."""
    from runners.verbs.running import plan as verb

    verb.plan(study, strategy or [], data_root, device, jobs, threads, json, pilot)


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
            help="local (a process a run), inline (this process), ray or slurm.",
            show_default="the configuration's, or local",
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="Ray cluster, e.g. auto.", show_default="RAY_ADDRESS, or one started here"),
    ] = None,
    isolate: Annotated[
        bool, typer.Option("--isolate", help="Keep all labels in a process of their own, with its own ledger.")
    ] = False,
    predictions_only: Annotated[
        bool,
        typer.Option(
            "--predictions-only",
            help="Keep no probabilities and no maps: small enough to publish; no calibration metrics.",
        ),
    ] = False,
    only: Annotated[
        str | None, typer.Option("--only", help="Only these runs: 'strategy=entropy|margin,protocol=cifar*,seed<4'.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be run, in order; write nothing.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also try runs that failed 3 times in a row.")
    ] = False,
    max_hours: Annotated[
        float | None, typer.Option("--max-hours", min=0, help="Then finish the rounds under way and exit with 130.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Minutes one run may take (not inline).")
    ] = None,
    memory: Annotated[float | None, typer.Option("--memory", min=0, help="GiB one run may take (not inline).")] = None,
    retries: Annotated[
        int, typer.Option("--retries", min=0, help="Further attempts when the machine fails (not inline).")
    ] = 2,
) -> None:
    """Run what is missing of a study. Interrupted or failed? The same command continues; nothing is bought twice.

    Ctrl-C, SIGTERM, a closed terminal (20 s) and SIGUSR1 (no limit) let the rounds under way finish; a second signal stops at once.
    Under nohup a closed terminal changes nothing.
    """
    from runners.executors.config import read_config
    from runners.executors.server import warm_up

    if not dry_run and (executor or read_config().executor) == "local":
        warm_up(threads)
    from runners.executors.base import Limits
    from runners.verbs.running import run as verb

    limits = Limits(timeout and timeout * 60, memory and memory * 1024, retries)
    options = verb.Options(
        executor, address, only, retry_failed, dry_run, isolate, not predictions_only, max_hours, limits
    )
    verb.run(study, strategy or [], out, data_root, device, jobs, threads, options)


@app.command(rich_help_panel=PANEL)
def status(
    folder: Folder,
    json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every 2 s until all runs are done.")] = False,
) -> None:
    """How far a study is: done, running, partial, failed, missing; its expected end and its size on disk."""
    from runners.verbs.running import status as verb

    verb.show(folder, json, watch)


@app.command(rich_help_panel=PANEL)
def merge(
    folder: Folder,
    sources: Annotated[
        list[Path], typer.Argument(help="Folders of the same study, made elsewhere.", show_default=False)
    ],
) -> None:
    """Put together a study that was run in several places. Conflicting runs are told and left as they are (exit code 1)."""
    from runners.verbs.running import storage as verb

    verb.merge(folder, sources)


@app.command(rich_help_panel=PANEL)
def gc(
    folder: Annotated[Path | None, typer.Argument(help="Study folder; or --cache.", show_default=False)] = None,
    cache: Annotated[bool, typer.Option("--cache", help="The cache of all studies instead of a study folder.")] = False,
    unused: Annotated[
        float,
        typer.Option("--unused", min=0, help="Days for which an entry of the cache was not used; 0: every entry."),
    ] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    json: AsJson = False,
) -> None:
    """Remove what is left of killed processes and finished warm starts: no evidence, and nothing of a run that is being written.

    With **--cache**: decoded images and embeddings that nobody used for 30 days; all of it is made again when it is asked for.
    The cache lies in ~/.cache/beatrandom, or in the folder that the environment's BEATRANDOM_CACHE names, which machines may share.

    Examples: `gc my-study --dry-run` · `gc --cache --dry-run`, how large the cache is and what of it is old · `gc --cache --unused 0`.
    """
    from protocol.errors import Fault, InputError
    from protocol.record.layout import StudyFolder
    from runners.verbs.running import gc as verb

    if (folder is None) == (not cache):
        found = "neither" if folder is None else "both"
        raise InputError(Fault("beatrandom gc", "a study folder, or --cache", found, "give one of them"))
    if folder is None:
        verb.gc_cache(unused, dry_run, json)
        return
    verb.gc(StudyFolder(folder), dry_run, json)
