"""Run a study from Python: `run_study`, with what it takes and returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from protocol.errors import Fault, InputError, unknown_name
from protocol.record.layout import StudyFolder
from protocol.spec.protocol import Protocol
from protocol.spec.study import StrategySpec, Study
from protocol.spec.toml_files import add_strategies, load_preset, read_study
from runners.executors.base import Executor, Limits, Stop
from runners.executors.config import EXECUTORS, read_config
from runners.executors.inline import Inline
from runners.executors.local import Local
from runners.executors.shared import Shared
from runners.machine.device import choose_device, visible_gpus
from runners.preflight import refuse_unusable_inputs
from runners.progress.expected_time import expected_seconds, longest_first, seconds_of
from runners.progress.job import Result
from runners.progress.selection import select_runs
from runners.progress.status import QUARANTINE, RunStatus, adopt, copied_source, count_states, resolve, status
from runners.progress.status import jobs as jobs_of
from runners.terminal.console import console, cores
from runners.terminal.progress_bar import first_lines, watched
from runners.terminal.stopping import INTERRUPTED, Interrupted, interrupted, lasting

__all__ = ["Interrupted", "Limits", "RunOptions", "StudyResult", "load_purchases", "quickstart_study", "run_study"]


@dataclass(frozen=True)
class RunOptions:
    """Which runs, where, and within what limits.

    Attributes:
        executor: "local", "inline", "ray" or "slurm"; None: as the user's configuration says, else "local".
        address: of a Ray cluster.
        only: conditions that select runs, e.g. "strategy=entropy|margin,seed<4"; None: all runs.
        retry_failed: also try runs that failed several times in a row.
        isolate: keep all labels in a process of their own.
        predictions_only: keep predictions without probabilities and maps.
        max_hours: then finish the rounds under way and raise `Interrupted`; None: no limit.
        limits: of one run.
    """

    executor: str | None = None
    address: str | None = None
    only: str | None = None
    retry_failed: bool = False
    isolate: bool = False
    predictions_only: bool = False
    max_hours: float | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class StudyResult:
    """Outcome of `run_study`: the study folder, and how many selected runs are done and failed."""

    folder: Path
    done: int
    failed: int


class StudySource(NamedTuple):
    """A resolved study, the folder of its relative paths, and its study folder if it was started."""

    study: Study
    base: Path
    folder: Path | None


class Selection(NamedTuple):
    """The selected runs: all, those to run in order, and those unreadable or failed too often."""

    runs: list[RunStatus]
    todo: list[RunStatus]
    left_alone: list[RunStatus]


@lasting()
def run_study(
    study: Study | Path,
    folder: Path | None = None,
    *,
    strategies: Sequence[str] = (),
    data_root: Path | None = None,
    device: str = "cpu",
    threads: int = 1,
    jobs: int | None = None,
    options: RunOptions | None = None,
) -> StudyResult:
    """Run what is missing of a study. The same call continues it, and no label is bought twice.

    Args:
        study: a study, a TOML file, or the folder of a study that was started.
        folder: study folder to write to; None: the one that was started, else ./beatrandom-NAME.
        strategies: strategies to add, as names or file.py:Name.
        data_root: folder of the data sets; None: BEATRANDOM_DATA.
        device: "cpu", "cuda", "cuda:N" or "auto".
        threads: threads per run; records are equal byte for byte only for equal threads.
        jobs: runs at the same time; None: one per GPU, or as many as the processor cores allow.
        options: which runs, where, and within what limits.

    Raises:
        InputError: the study, an option or a data set cannot be used; no run was started.
        Interrupted: a signal or `max_hours` stopped it before the end; what was measured is kept.
    """
    options = options or RunOptions()
    study, base, started = read_source(study, strategies, data_root)
    study_folder = StudyFolder(folder or started or default_folder(study))
    study_folder.refuse_links()
    chosen_device, gpus = choose_device(device), visible_gpus(device)
    stop = Stop(None if options.max_hours is None else options.max_hours * 3600)
    refuse_unusable_inputs(study, data_root)
    if study_folder.path.resolve() == base.resolve():
        _refuse_missing_copies(study_folder, study)
    else:
        adopt(study_folder, study, base)
    make_executor = partial(
        _make_executor,
        _executor_name(options),
        options,
        jobs=jobs,
        at_once=jobs or (max(1, len(gpus)) if chosen_device != "cpu" else max(1, cores() // threads)),
        threads=threads,
        stop=stop,
        gpus=gpus,
        scratch=study_folder.path.resolve() / ".desk",
    )
    runs, todo, left_alone = select_work(study, study_folder, options)
    done = count_states(runs)["done"]
    console.print(
        f"Study {study.name}: {len(runs)} runs, {done} done already, {len(todo)} to do, in {study_folder.path}"
    )
    work = jobs_of(
        study_folder,
        study,
        data_root,
        chosen_device,
        threads,
        [s.planned for s in todo],
        isolate=options.isolate,
        tables=not options.predictions_only,
    )
    results: list[Result] = []
    if work:  # without work, no cluster is started or asked
        seconds = seconds_of([s.planned for s in todo], expected_seconds(study_folder, runs))
        results = watched(Shared(make_executor(), make_executor, stop, _print_waiting), stop, work, todo, seconds)
    failed = _print_failures(results, left_alone)
    disk_full = any(r.cause == "disk" for r in results)
    if stop.requested and not disk_full and sum(r.state != "stopped" for r in results) < len(work):
        interrupted.print(INTERRUPTED)
        raise Interrupted
    return StudyResult(study_folder.path, done + sum(r.state == "done" for r in results), failed)


def read_source(study: Study | Path, strategies: Sequence[str] = (), data_root: Path | None = None) -> StudySource:
    """Read and resolve a study.

    Args:
        study: a study, a TOML file, or the folder of a study that was started.
        strategies: strategies to add, as names or file.py:Name.
        data_root: where files of encoders and of weights are searched.

    Raises:
        InputError: the study cannot be read, or a strategy or a file cannot be used.
    """
    if isinstance(study, Study):
        return StudySource(resolve(add_strategies(study, strategies), Path(), data_root), Path(), None)
    if not study.is_dir():
        read = add_strategies(read_study(study), strategies)
        return StudySource(resolve(read, study.parent, data_root), study.parent, None)
    if strategies:
        expected = "no added strategy for a study folder, whose plan is fixed"
        fix = "give the TOML file and another --out"
        raise InputError(Fault("--strategy", expected, ", ".join(strategies), fix))
    return StudySource(StudyFolder(study).read_plan(), study, study)


def default_folder(study: Study) -> Path:
    """Return the folder that a study is written to if none is given."""
    return Path(f"beatrandom-{study.name}")


def select_work(study: Study, folder: StudyFolder, options: RunOptions) -> Selection:
    """Select runs by `options.only`, and order those that are to be run."""
    runs = status(folder, study)
    if options.only is not None:
        kept = set(map(id, select_runs([s.planned for s in runs], options.only)))
        runs = [s for s in runs if id(s.planned) in kept]
    left_alone = [
        s for s in runs if s.state == "unreadable" or (s.failures_in_a_row >= QUARANTINE and not options.retry_failed)
    ]
    todo = [s for s in runs if s.state != "done" and s not in left_alone]
    seconds = seconds_of([s.planned for s in todo], expected_seconds(folder, runs))
    return Selection(runs, longest_first(todo, seconds), left_alone)


def _refuse_missing_copies(folder: StudyFolder, study: Study) -> None:
    """Check that a started study holds its copies of the user's strategy files."""
    missing = [c for c in (copied_source(folder, s) for s in study.strategies) if c is not None and not c.exists()]
    if missing:
        expected = "the study's copy of a strategy file"
        raise InputError([Fault(str(path), expected, "no such file", "restore it") for path in missing])


def _executor_name(options: RunOptions) -> str:
    name = options.executor or read_config().executor
    if name not in EXECUTORS:
        raise InputError(unknown_name("--executor", name, EXECUTORS))
    if options.address is not None and name != "ray":
        raise InputError(Fault("--address", "with --executor ray", f"--executor {name}", "leave one of them out"))
    return name


def _make_executor(
    name: str,
    options: RunOptions,
    *,
    jobs: int | None,
    at_once: int,
    threads: int,
    stop: Stop,
    gpus: Sequence[str],
    scratch: Path,
) -> Executor:
    if name == "inline":
        return Inline(stop)
    if name == "local":
        return Local(at_once, options.limits, stop, gpus)
    from runners.executors.remote import Remote  # submitit and Ray are optional, and slow to import

    config = read_config()
    if name == "ray":
        from runners.executors.ray import RayBackend

        address = options.address or config.ray.address
        return Remote(RayBackend(threads, jobs, address, config.ray.gpus), options.limits, stop)
    from runners.executors.slurm import SlurmBackend

    backend = SlurmBackend(scratch / "submitit", threads, jobs, config.slurm.cluster, config.slurm.parameters)
    return Remote(backend, options.limits, stop)


def _print_waiting(runs: int) -> None:
    console.print(f"{runs} more are being made by another process; waiting for them (Ctrl-C leaves them to it)")


def _print_failures(results: Sequence[Result], left_alone: Sequence[RunStatus]) -> int:
    """Print which runs did not finish, and return how many."""
    failed = [r for r in results if r.state == "failed"]
    for s in left_alone:
        why = (
            "unreadable"
            if s.state == "unreadable"
            else f"failed {s.failures_in_a_row} times without a finished round in between (--retry-failed tries again)"
        )
        console.print(
            f"left alone: {s.planned.id}: {why}\n{first_lines(s.message)}",
            markup=False,
        )
    if failed or left_alone:
        console.print(
            f"{len(failed)} failed, {len(left_alone)} left alone; all other runs are kept. "
            "The same command tries the missing ones again."
        )
    return len(failed) + len(left_alone)


def load_purchases(folder: Path, data_root: Path | None = None) -> Any:
    """Read classes and pictures of what a study bought, for figures that show them.

    Args:
        folder: study folder.
        data_root: folder of the data sets; None: BEATRANDOM_DATA.

    Returns:
        A `Purchases`, which `analysis.figures.FigureInputs` takes as its third argument.
    """
    from runners.purchases.load import load_purchases as load  # loads pandas, which no run needs

    return load(folder, data_root)


@dataclass(frozen=True)
class _Quickstart:
    """Presets, strategies, number of seeds, and budgets where the fast study has fewer rounds.

    There are enough seeds that the sign-flip test can reject after Holm: (tests) <= alpha * 2 ** (seeds - 1).
    """

    presets: tuple[str, ...]
    strategies: tuple[str, ...]
    seeds: int
    budgets: tuple[int, ...] | None = None


_QUICKSTARTS: Final[dict[tuple[str, bool], _Quickstart]] = {
    ("classification", False): _Quickstart(
        ("digits-plain", "digits-augmented"), ("random", "least-confidence", "margin", "entropy", "core-set"), seeds=10
    ),
    ("classification", True): _Quickstart(
        ("digits-plain", "digits-augmented"), ("random", "margin"), seeds=7, budgets=(20, 40, 80)
    ),
    ("segmentation", False): _Quickstart(
        ("digit-scenes-plain", "digit-scenes-augmented"), ("random", "entropy", "core-set"), seeds=8
    ),
    ("segmentation", True): _Quickstart(("digit-scenes-plain",), ("random", "entropy"), seeds=6, budgets=(20, 40)),
}
"""By task and whether it is fast. Tests and seeds: at most 8 and 10, 4 and 8, 2 and 7, 1 and 6."""


def quickstart_study(task: str = "classification", *, fast: bool = False) -> Study:
    """Build the study of `beatrandom quickstart`.

    Args:
        task: "classification" or "segmentation".
        fast: fewer strategies, seeds and rounds.

    Raises:
        InputError: there is no quickstart for the task.
    """
    tasks = sorted({name for name, _ in _QUICKSTARTS})
    if task not in tasks:
        raise InputError(unknown_name("--task", task, tasks))
    plan = _QUICKSTARTS[task, fast]
    name = "quickstart" if task == "classification" else f"quickstart-{task}"
    return Study(
        name=f"{name}-fast" if fast else name,
        protocols=tuple(_with_budgets(load_preset(p), plan.budgets) for p in plan.presets),
        strategies=tuple(StrategySpec(name=s) for s in plan.strategies),
        seeds=tuple(range(plan.seeds)),
    )


def _with_budgets(protocol: Protocol, budgets: tuple[int, ...] | None) -> Protocol:
    """Shorten a protocol. With other budgets it is another protocol, so its name changes too."""
    if budgets is None:
        return protocol
    return protocol.model_copy(update={"name": f"{protocol.name}-fast", "budgets": budgets, "provenance": {}})
