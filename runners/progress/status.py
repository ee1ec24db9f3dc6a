"""A study on its way: which runs are planned, and which of them are missing, running, failed or done."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from protocol.digests import sha256
from protocol.record.layout import RunFolder, StudyFolder
from protocol.record.machine_lock import holder
from protocol.safe_read import read_bytes
from protocol.spec.protocol import Protocol
from protocol.spec.study import StrategySpec, Study
from runners.encoding.resolve import resolve_files as known
from runners.machine.environment import describe
from runners.progress.job import Job
from runners.progress.plan import PlannedRun, planned_runs
from runners.progress.record_scan import END, FAILURE, ROUND, TRIAL, line_numbers, progress_of, whole_lines
from runners.regimes.pretraining.bodies import with_weights_digest
from runners.strategies.resolve import make, resolve_spec, user_file

State = Literal["missing", "partial", "running", "failed", "done", "unreadable"]
QUARANTINE = 3
"""Failed attempts without a whole round between them, after which `run` leaves a run alone unless told otherwise."""

_PREV: Final = re.compile(rb'"prev":"([0-9a-f]*)"')
"""Cannot occur inside a string either; see `runners.progress.record_scan`."""


@dataclass(frozen=True)
class RunStatus:
    """What the files say about a run."""

    planned: PlannedRun
    state: State
    rounds: int
    failures: int
    message: str = ""
    failures_in_a_row: int = 0
    """Failed attempts since the last whole round or trial; enough of them and the run is left alone (see `QUARANTINE`)."""
    trials: int = 0
    """Settings tried so far in the round under way, of a protocol that is tuned."""


def status(folder: StudyFolder, study: Study) -> list[RunStatus]:
    """State of every planned run from its record: the hash chain is followed, the events' content is left to `check`."""
    return [state(folder.run(p.id), p) for p in planned_runs(study)]


def state(folder: RunFolder, run: PlannedRun) -> RunStatus:
    """State of one planned run; see `status`."""
    try:
        raw = read_bytes(folder.events)
    except FileNotFoundError:
        return RunStatus(run, "running" if is_locked(folder) else "missing", 0, 0)
    except OSError as error:
        return RunStatus(run, "unreadable", 0, 0, f"{folder.events}: {error.strerror}")
    rows = whole_lines(raw)
    (rounds, trials), failures = progress_of(rows), line_numbers(rows, FAILURE)
    if broken := _broken_at(rows):
        found = f"{folder.events}:{broken}: not the line that was written here"
        return RunStatus(run, "unreadable", rounds, len(failures), found)
    if rows and END in rows[-1] and raw.endswith(b"\n"):
        return RunStatus(run, "done", rounds, len(failures))
    if is_locked(folder):
        return RunStatus(run, "running", rounds, len(failures), trials=trials)
    if not failures or failures[-1] != len(rows) - 1:
        return RunStatus(run, "partial", rounds, len(failures), trials=trials)
    last = max([*line_numbers(rows, ROUND), *line_numbers(rows, TRIAL)], default=-1)
    in_a_row = sum(place > last for place in failures)
    return RunStatus(run, "failed", rounds, len(failures), json.loads(rows[-1])["message"], in_a_row, trials)


def _broken_at(rows: Sequence[bytes]) -> int:
    """Number of the first line that does not carry the hash of the line before it, or 0."""
    prev = ""
    for number, row in enumerate(rows, 1):
        said = _PREV.search(row)
        if said is None or said[1].decode() != prev:
            return number
        prev = sha256(row)
    return 0


def is_locked(folder: RunFolder) -> bool:
    """Whether a process is writing the run: one of this machine (its lock) or of another one (its claim)."""
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
    return holder(folder.claims) is not None


def count_states(statuses: Sequence[RunStatus]) -> Counter[str]:
    """How many runs are in each state."""
    return Counter(s.state for s in statuses)


def resolve(study: Study, beside: Path, data_root: Path | None = None) -> Study:
    """The study with digests of own strategy files, of encoders' files and of files of weights filled in, after building each strategy once.

    Raises:
        InputError: a strategy is unknown or cannot be built, or a file of an encoder or of weights is not there or not the one that is named.
    """
    strategies = tuple(resolve_spec(s, beside) for s in study.strategies)
    for spec in strategies:
        make(spec, user_file(spec, beside))
    protocols = tuple(with_weights_digest(_with_encoder(p, data_root, beside), data_root) for p in study.protocols)
    return Study(name=study.name, protocols=protocols, strategies=strategies, seeds=study.seeds, plan=study.plan)


def _with_encoder(protocol: Protocol, data_root: Path | None, beside: Path) -> Protocol:
    if protocol.data.encoder is None:
        return protocol
    data = protocol.data.model_copy(update={"encoder": known(protocol.data.encoder, data_root, beside)})
    return protocol.model_copy(update={"data": data})


def adopt(folder: StudyFolder, study: Study, beside: Path) -> None:
    """Write the plan into the folder (or check that it is the same) and keep copies of own strategy files."""
    folder.adopt(study)
    copy_own_files(folder, study, beside)


def copy_own_files(folder: StudyFolder, study: Study, beside: Path) -> None:
    """Copy own strategy files, given relative to `beside`, into the study folder, each once."""
    for spec in study.strategies:
        source = user_file(spec, beside)
        copy = copied_source(folder, spec)
        if source is not None and copy is not None and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def copied_source(folder: StudyFolder, spec: StrategySpec) -> Path | None:
    """Where the study keeps the source of an own strategy, so that later edits cannot change it."""
    if spec.source_digest is None:
        return None
    return folder.source(spec.id, spec.source_digest)


def jobs(
    folder: StudyFolder,
    study: Study,
    data_root: Path | None,
    device: str,
    threads: int,
    runs: Sequence[PlannedRun],
    isolate: bool = False,
    tables: bool = True,
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
            copied_source(folder, run.strategy),
            data_root,
            device,
            threads,
            environment,
            isolate,
            tables,
        )
        for run in runs
    ]
