"""`run`: run what is missing of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from protocol.record.layout import StudyFolder
from protocol.spec.study import Study
from runners.progress.expected_time import expected_seconds, seconds_left, seconds_of
from runners.study import Interrupted, Limits, RunOptions, default_folder, read_source, run_study, select_work
from runners.terminal.console import console, duration, table


def run(
    *,
    study: Path,
    strategy: list[str] | None,
    out: Path | None,
    data_root: Path | None,
    device: str,
    jobs: int | None,
    threads: int,
    timeout: float | None,
    memory: float | None,
    retries: int,
    dry_run: bool,
    **options: Any,
) -> None:
    """See `beatrandom run --help`; `options` are the fields of `RunOptions`."""
    limits = Limits(timeout and timeout * 60, memory and memory * 1024, retries)
    run_options = RunOptions(**options, limits=limits)
    if dry_run:
        source = read_source(study, strategy or [], data_root)
        folder = out or source.folder or default_folder(source.study)
        _show_selected(source.study, StudyFolder(folder), run_options)
        return
    try:
        result = run_study(
            study,
            out,
            strategies=strategy or [],
            data_root=data_root,
            device=device,
            threads=threads,
            jobs=jobs,
            options=run_options,
        )
    except Interrupted:
        raise typer.Exit(130) from None
    if result.failed:
        raise typer.Exit(1)
    which = "All runs are done" if run_options.only is None else "These runs are done"
    console.print(f"{which}. Next: beatrandom check {result.folder} ; beatrandom report {result.folder}")


def _show_selected(study: Study, folder: StudyFolder, options: RunOptions) -> None:
    """Print the runs that would be made, in order. Nothing is written."""
    if folder.plan.exists():
        folder.adopt(study)  # only compares the plans
    runs, todo, left_alone = select_work(study, folder, options)
    measured = expected_seconds(folder, runs)
    seconds = seconds_of([s.planned for s in todo], measured)
    rows = [
        (
            str(s.planned.id),
            s.state,
            s.rounds,
            duration(t) if measured else "·",
        )
        for s, t in zip(todo, seconds, strict=True)
    ]
    title = f"{study.name}: would run, in this order"
    console.print(table(title, ["run", "state", "rounds done", "expected"], rows, ["rounds done"]))
    console.print(f"{len(todo)} of {len(runs)} runs to do, {len(left_alone)} left alone; nothing was written.")
    if measured:
        expected = duration(seconds_left(todo, seconds))
        console.print(f"Expected, one after the other: {expected} (from runs that are done).")
