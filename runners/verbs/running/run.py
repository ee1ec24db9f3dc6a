"""`run`: make what is missing of a study, with progress and an estimate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import typer

from protocol.errors import Fault, InputError, unknown_name
from protocol.record.layout import StudyFolder
from protocol.spec.study import Study
from runners.executors.base import Executor, Limits, Stop
from runners.executors.config import EXECUTORS, read_config
from runners.executors.inline import Inline
from runners.executors.local import Local
from runners.executors.shared import Shared
from runners.progress.expected_time import expected_seconds, in_order, seconds_left, seconds_of
from runners.progress.job import Result
from runners.progress.selection import chosen
from runners.progress.status import QUARANTINE, RunStatus, adopt, counts, jobs, status
from runners.verbs.running.progress import first_lines, watched
from runners.verbs.running.stopping import INTERRUPTED, interrupted, lasting
from runners.verbs.shared.console import console, cores, duration, table
from runners.verbs.shared.inputs import device_of, gpus_of, own_files_are_kept, read


@dataclass(frozen=True)
class Options:
    """Which runs, where, and within what limits; see `beatrandom run --help`."""

    executor: str | None = None
    """None: the user's configuration says."""
    address: str | None = None
    only: str | None = None
    again: bool = False
    dry: bool = False
    isolate: bool = False
    tables: bool = True
    max_hours: float | None = None
    limits: Limits = field(default_factory=Limits)


def run(
    source: Path,
    extra: list[str],
    out: Path | None,
    data_root: Path | None,
    device: str,
    slots: int | None,
    threads: int,
    options: Options,
) -> None:
    """See `beatrandom run --help`."""
    study, beside, started = read(source, extra, data_root)
    folder = StudyFolder(out or started or Path(f"beatrandom-{study.name}"))
    if options.dry:
        _show(study, folder, options)
        return
    failed = execute(study, folder, beside, data_root, device, slots, threads, options)
    if failed:
        raise typer.Exit(1)
    what = "All runs are done" if options.only is None else "These runs are done"
    console.print(f"{what}. Next: beatrandom check {folder.path} ; beatrandom report {folder.path}")


@lasting()
def execute(
    study: Study,
    folder: StudyFolder,
    beside: Path,
    data_root: Path | None,
    device: str,
    slots: int | None,
    threads: int,
    options: Options | None = None,
) -> int:
    """Run what is missing; returns how many runs did not finish.

    Raises:
        typer.Exit: with 130, stopped by a signal or `max_hours` before the end; what was measured is kept.
    """
    options = options or Options()
    chosen_device, gpus = device_of(device), gpus_of(device)
    stop = Stop(None if options.max_hours is None else options.max_hours * 3600)
    side_by_side = slots or (max(1, len(gpus)) if chosen_device != "cpu" else max(1, cores() // threads))
    _data_is_there(study, data_root)
    if folder.path.resolve() == beside.resolve():
        own_files_are_kept(folder, study)
    else:
        adopt(folder, study, beside)
    make = partial(_executor, _executor_name(options), options, slots, side_by_side, threads, stop, gpus, folder)
    before, todo, left_out = _selected(study, folder, options)
    console.print(
        f"Study {study.name}: {len(before)} runs, {counts(before)['done']} done already, {len(todo)} to do, in {folder.path}"
    )
    work = jobs(
        folder, study, data_root, chosen_device, threads, [s.planned for s in todo], options.isolate, options.tables
    )
    results: list[Result] = []
    if work:  # else no cluster is started or asked
        seconds = seconds_of([s.planned for s in todo], expected_seconds(folder, before))
        results = watched(Shared(make(), make, stop, _say_waiting), stop, work, todo, seconds)
    missed = _summary(results, left_out)
    full = any(r.cause == "disk" for r in results)
    if stop.asked and not full and sum(r.state != "stopped" for r in results) < len(work):
        interrupted.print(INTERRUPTED)
        raise typer.Exit(130)
    return missed


def _selected(
    study: Study, folder: StudyFolder, options: Options
) -> tuple[list[RunStatus], list[RunStatus], list[RunStatus]]:
    """All asked for; of these what is to be run, in order; and what is left alone."""
    every = status(folder, study)
    if options.only is not None:
        kept = set(map(id, chosen([s.planned for s in every], options.only)))
        every = [s for s in every if id(s.planned) in kept]
    left_out = [
        s for s in every if s.state == "unreadable" or (s.failures_in_a_row >= QUARANTINE and not options.again)
    ]
    todo = [s for s in every if s.state != "done" and s not in left_out]
    return every, in_order(todo, seconds_of([s.planned for s in todo], expected_seconds(folder, every))), left_out


def _show(study: Study, folder: StudyFolder, options: Options) -> None:
    """What would be run, in its order; nothing is written."""
    if folder.plan.exists():
        folder.adopt(study)  # only compares the plans
    every, todo, left_out = _selected(study, folder, options)
    measured = expected_seconds(folder, every)
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
    console.print(
        table(
            f"{study.name}: would run, in this order",
            ["run", "state", "rounds done", "expected"],
            rows,
            ["rounds done"],
        )
    )
    console.print(f"{len(todo)} of {len(every)} runs to do, {len(left_out)} left alone; nothing was written.")
    if measured:
        console.print(
            f"Expected, one after the other: {duration(seconds_left(todo, seconds))} (from runs that are done)."
        )


def _executor_name(options: Options) -> str:
    name = options.executor or read_config().executor
    if name not in EXECUTORS:
        raise InputError(unknown_name("--executor", name, EXECUTORS))
    if options.address is not None and name != "ray":
        raise InputError(Fault("--address", "with --executor ray", f"--executor {name}", "leave one of them out"))
    return name


def _executor(
    name: str,
    options: Options,
    slots: int | None,
    side_by_side: int,
    threads: int,
    stop: Stop,
    gpus: Sequence[str],
    folder: StudyFolder,
) -> Executor:
    config = read_config()
    if name == "inline":
        return Inline(stop)
    if name == "local":
        return Local(side_by_side, options.limits, stop, gpus)
    from runners.executors.remote import Remote

    if name == "ray":
        from runners.executors.ray import RayBackend

        return Remote(
            RayBackend(threads, slots, options.address or config.ray.address, config.ray.gpus), options.limits, stop
        )
    from runners.executors.slurm import SlurmBackend

    desk = folder.path.resolve() / ".desk" / "submitit"
    return Remote(
        SlurmBackend(desk, threads, slots, config.slurm.cluster, config.slurm.parameters), options.limits, stop
    )


def _data_is_there(study: Study, data_root: Path | None) -> None:
    """Load each data set and divide it once, so that a fault of the input is one message, not one a run."""
    from protocol.draws.splits import make_split, refuse_unpayable
    from runners.data import load
    from runners.datasets.regions import divide
    from runners.datasets.registry import refuse_other_task
    from runners.regimes import refuse_unknown_method
    from runners.regimes.pretraining.bodies import body_from_file
    from runners.strategies.resolve import make
    from runners.tasks import TASKS

    faults: list[Fault] = []
    for p in study.protocols:
        task = TASKS[p.task]
        checks: list[Callable[[], object]] = [
            partial(refuse_other_task, p),
            partial(task.refuse_unknown_model, p.model.name, f"protocol {p.name}: model.name"),
            partial(refuse_unknown_method, p),
        ]
        regions = p.labelling is not None and p.labelling.unit != "image"
        checks += [
            partial(task.adapt_or_refuse, make(s, None), s.id, regions=regions)
            for s in study.strategies
            if s.source_digest is None
        ]
        for refuse in checks:
            try:
                refuse()
            except InputError as error:
                faults += error.faults
    for data in {p.data.model_dump_json(): p.data for p in study.protocols}.values():
        try:
            images, _ = load(data, data_root)
        except InputError as error:
            faults += error.faults
            continue
        for protocol in (p for p in study.protocols if p.data == data):
            try:
                split = make_split(protocol, study.seeds[0], images.train_size, images.test_size)
                if (
                    protocol.labelling and protocol.labelling.superpixels is None
                ):  # how many there are of those, the runs will see
                    refuse_unpayable(protocol, split, divide(protocol, images, None).units)
                if protocol.regime.pretraining and protocol.regime.pretraining.weights:
                    body_from_file(protocol, images, data_root)
            except InputError as error:
                faults += error.faults
    if faults:
        raise InputError(faults)


def _say_waiting(runs: int) -> None:
    console.print(f"{runs} more are being made by another process; waiting for them (Ctrl-C leaves them to it)")


def _summary(results: Sequence[Result], left_out: Sequence[RunStatus]) -> int:
    failed = [r for r in results if r.state == "failed"]
    for s in left_out:
        why = (
            "unreadable"
            if s.state == "unreadable"
            else f"failed {s.failures_in_a_row} times without a whole round between (--retry-failed tries again)"
        )
        run = s.planned
        console.print(
            f"left alone: {run.id}: {why}\n{first_lines(s.message)}",
            markup=False,
        )
    if failed or left_out:
        console.print(
            f"{len(failed)} failed, {len(left_out)} left alone; the others are kept. The same command tries the missing ones again."
        )
    return len(failed) + len(left_out)
