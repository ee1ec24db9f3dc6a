"""`run`: make what is missing of a study, with progress and an estimate."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from protocol.errors import InputError, unknown_name
from protocol.folders import StudyFolder
from protocol.spec import Study
from runners.executors.base import Executor, Update
from runners.executors.inline import Inline
from runners.executors.local import Local
from runners.jobs import Job, Result
from runners.study import RunStatus, adopt, counts, jobs, status
from runners.verbs.console import console, cores
from runners.verbs.inputs import device_of, own_files_are_kept, read

EXECUTORS = ("local", "inline")
stopped = Console(stderr=True, highlight=False)


def run(
    source: Path,
    extra: list[str],
    out: Path | None,
    data_root: Path | None,
    device: str,
    slots: int | None,
    threads: int,
    executor: str,
    isolate: bool,
) -> None:
    """See `beatrandom run --help`."""
    study, beside, started = read(source, extra)
    folder = StudyFolder(out or started or Path(f"beatrandom-{study.name}"))
    failed = execute(study, folder, beside, data_root, device, slots, threads, executor, isolate)
    if failed:
        raise typer.Exit(1)
    console.print(f"All runs are done. Next: beatrandom check {folder.path} ; beatrandom report {folder.path}")


def execute(
    study: Study,
    folder: StudyFolder,
    beside: Path,
    data_root: Path | None,
    device: str,
    slots: int | None,
    threads: int,
    executor: str = "local",
    isolate: bool = False,
) -> int:
    """Run what is missing; returns how many runs did not finish."""
    chosen = device_of(device)
    runner = _executor(executor, slots or (1 if chosen != "cpu" else max(1, cores() // threads)))
    _data_is_there(study, data_root)
    if folder.path.resolve() == beside.resolve():
        own_files_are_kept(folder, study)
    else:
        adopt(folder, study, beside)
    before = status(folder, study)
    todo = [s for s in before if s.state not in ("done", "unreadable")]
    unreadable = [s for s in before if s.state == "unreadable"]
    console.print(f"Study {study.name}: {len(before)} runs, {counts(before)['done']} done already, {len(todo)} to do, in {folder.path}")
    work = jobs(folder, study, data_root, chosen, threads, [s.planned for s in todo], isolate)
    results = _watched(runner, work, todo)
    return _summary(results, unreadable)


def _executor(name: str, slots: int) -> Executor:
    if name not in EXECUTORS:
        raise InputError(unknown_name("--executor", name, EXECUTORS))
    return Inline() if name == "inline" else Local(slots)


def _data_is_there(study: Study, data_root: Path | None) -> None:
    """Load each data set and divide it once, so that a fault of the input is one message, not one a run."""
    from protocol.splits import make_split
    from runners.datasets import load
    from runners.models import MODELS

    faults = [
        unknown_name(f"protocol {p.name}: model.name", p.model.name, list(MODELS)) for p in study.protocols if p.model.name not in MODELS
    ]
    for data in {p.data.model_dump_json(): p.data for p in study.protocols}.values():
        try:
            images, _ = load(data, data_root)
        except InputError as error:
            faults += error.faults
            continue
        for protocol in (p for p in study.protocols if p.data == data):
            try:
                make_split(protocol, study.seeds[0], images.train_size, images.test_size)
            except InputError as error:
                faults += error.faults
    if faults:
        raise InputError(faults)


def _watched(executor: Executor, work: Sequence[Job], todo: Sequence[RunStatus]) -> list[Result]:
    """Drive the executor under a progress bar counted in rounds; SIGTERM stops like Ctrl-C."""
    if not work:
        return []
    total = {job.id: len(job.protocol.budgets) for job in work}
    done = {job.id: s.rounds for job, s in zip(work, todo, strict=True)}
    results: list[Result] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rounds"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with _sigterm_interrupts(), Progress(*columns, console=console) as bar:
        task = bar.add_task("running", total=sum(total.values()), completed=sum(done.values()))
        stream = executor.execute(work)
        try:
            for message in stream:
                if isinstance(message, Update):
                    done[message.id] = message.rounds
                else:
                    results.append(message)
                    done[message.id] = total[message.id]
                    if message.state == "failed":
                        console.print(f"failed: {message.id}\n{_first_lines(message.message)}", markup=False)
                bar.update(task, completed=sum(done.values()), description=f"{len(results)}/{len(work)} runs")
        except KeyboardInterrupt:
            stopped.print("interrupted; what was measured is kept, the same command continues")
            raise
        finally:
            stream.close()  # stops the workers that still run
    return results


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _first_lines(text: str, lines: int = 6) -> str:
    return "\n".join("  " + line for line in text.splitlines()[:lines])


def _summary(results: Sequence[Result], unreadable: Sequence[RunStatus]) -> int:
    failed = [r for r in results if r.state == "failed"]
    busy = [r for r in results if r.state == "busy"]
    for s in unreadable:
        console.print(
            f"unreadable, left untouched: {s.planned.protocol.name}/{s.planned.strategy.id}/seed-{s.planned.seed}\n{s.message}",
            markup=False,
        )
    if failed or busy or unreadable:
        console.print(
            f"{len(failed)} failed, {len(busy)} being run by another process, {len(unreadable)} unreadable; "
            "the others are kept. The same command tries the missing ones again."
        )
    return len(failed) + len(busy) + len(unreadable)
