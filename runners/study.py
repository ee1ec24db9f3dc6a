"""A study on its way: which runs are planned, and which of them are missing, running, failed or done."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from protocol.errors import RecordError
from protocol.folders import RunFolder, StudyFolder
from protocol.record import read
from protocol.spec import BASELINE, Protocol, StrategySpec, Study
from runners.environment import describe
from runners.jobs import Job
from runners.strategies.own import make, own_file, resolved

State = Literal["missing", "partial", "running", "failed", "done", "unreadable"]


@dataclass(frozen=True)
class Planned:
    """One run of the plan."""

    protocol: Protocol
    strategy: StrategySpec
    seed: int


@dataclass(frozen=True)
class RunStatus:
    """What the files say about a run."""

    planned: Planned
    state: State
    rounds: int
    failures: int
    message: str = ""


def planned(study: Study) -> list[Planned]:
    """Every run of the plan, the baseline first, so that whatever else fails can be compared."""
    strategies = sorted(study.strategies, key=lambda s: s.id != BASELINE)
    return [Planned(p, s, seed) for s in strategies for p in study.protocols for seed in study.seeds]


def status(folder: StudyFolder, study: Study) -> list[RunStatus]:
    """State of every planned run, read from its record."""
    return [_state(folder.run(p.protocol.name, p.strategy.id, p.seed), p) for p in planned(study)]


def _state(folder: RunFolder, run: Planned) -> RunStatus:
    if not folder.events.exists():
        return RunStatus(run, "running" if _locked(folder) else "missing", 0, 0)
    try:
        record = read(folder.events)
    except RecordError as error:
        return RunStatus(run, "unreadable", 0, 0, str(error))
    failures = [e for e in record.events if e.event == "failure"]
    rounds = len(record.rounds)
    if record.breaks:
        return RunStatus(run, "unreadable", rounds, len(failures), str(record.breaks[0]))
    if record.sealed:
        return RunStatus(run, "done", rounds, len(failures))
    if _locked(folder):
        return RunStatus(run, "running", rounds, len(failures))
    if record.failed:
        return RunStatus(run, "failed", rounds, len(failures), failures[-1].message)
    return RunStatus(run, "partial", rounds, len(failures))


def _locked(folder: RunFolder) -> bool:
    try:
        lock = os.open(folder.lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def counts(statuses: Sequence[RunStatus]) -> Counter[str]:
    """How many runs are in each state."""
    return Counter(s.state for s in statuses)


def resolve(study: Study, beside: Path) -> Study:
    """The study with digests of own strategy files filled in, after building each strategy once.

    Raises:
        InputError: a strategy is unknown or cannot be built.
    """
    strategies = tuple(resolved(s, beside) for s in study.strategies)
    for spec in strategies:
        make(spec, own_file(spec, beside))
    return study.with_strategies(strategies)


def adopt(folder: StudyFolder, study: Study, beside: Path) -> None:
    """Write the plan into the folder (or check that it is the same) and keep copies of own strategy files."""
    folder.adopt(study)
    keep_own_files(folder, study, beside)


def keep_own_files(folder: StudyFolder, study: Study, beside: Path) -> None:
    """Copy own strategy files, given relative to `beside`, into the study folder, each once."""
    for spec in study.strategies:
        source = own_file(spec, beside)
        copy = kept_copy(folder, spec)
        if source is not None and copy is not None and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def kept_copy(folder: StudyFolder, spec: StrategySpec) -> Path | None:
    """Where the study keeps the source of an own strategy, so that later edits cannot change it."""
    if spec.source_digest is None:
        return None
    return folder.path / "strategies" / f"{spec.id}-{spec.source_digest[:16]}.py"


def jobs(
    folder: StudyFolder, study: Study, data_root: Path | None, device: str, threads: int, runs: Sequence[Planned], isolate: bool = False
) -> list[Job]:
    """The jobs that make `runs`."""
    environment: tuple[tuple[str, Any], ...] = tuple(describe(device, threads).items())
    return [
        Job(
            folder.path,
            study.fingerprint,
            run.protocol,
            run.strategy,
            run.seed,
            kept_copy(folder, run.strategy),
            data_root,
            device,
            threads,
            environment,
            isolate,
        )
        for run in runs
    ]
