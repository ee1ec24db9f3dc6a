"""Status of a study: which of the planned runs are missing, running, failed or done."""

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
from protocol.safe_read import LARGEST_RECORD, read_bytes
from protocol.spec.protocol import Protocol
from protocol.spec.study import StrategySpec, Study
from runners.progress.job import Job
from runners.progress.plan import PlannedRun, planned_runs
from runners.progress.record_scan import END, FAILURE, ROUND, TRIAL, line_numbers, progress_of, whole_lines

State = Literal["missing", "partial", "running", "failed", "done", "unreadable"]
QUARANTINE = 3
"""Failed attempts in a row, without a complete round between them, after which `run` skips a run by default."""

_PREV: Final = re.compile(rb'"prev":"([0-9a-f]*)"')
"""These bytes cannot occur inside a string; see `runners.progress.record_scan`."""


@dataclass(frozen=True)
class RunStatus:
    """Status of one run according to its files.

    Attributes:
        failures_in_a_row: failed attempts since the last complete round or trial; see `QUARANTINE`.
        trials: settings tried so far in the present round of a tuned protocol.
    """

    planned: PlannedRun
    state: State
    rounds: int
    failures: int
    message: str = ""
    failures_in_a_row: int = 0
    trials: int = 0


def status(folder: StudyFolder, study: Study) -> list[RunStatus]:
    """Return the status of every planned run.

    The hash chain is followed; the content of events is left to `check`.
    """
    return [state(folder.run(p.id), p) for p in planned_runs(study)]


def state(folder: RunFolder, run: PlannedRun) -> RunStatus:
    """Return the status of one planned run; see `status`."""
    try:
        raw = read_bytes(folder.events, LARGEST_RECORD, folder.root)
    except FileNotFoundError:
        return RunStatus(run, "running" if is_locked(folder) else "missing", 0, 0)
    except OSError as error:
        return RunStatus(run, "unreadable", 0, 0, f"{folder.events}: {error.strerror}")
    rows = whole_lines(raw)
    (rounds, trials), failures = progress_of(rows), line_numbers(rows, FAILURE)
    if broken := _broken_at(rows):
        message = f"{folder.events}:{broken}: expected the hash of the line before"
        return RunStatus(run, "unreadable", rounds, len(failures), message)
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
    """Return the number of the first line without the hash of the line before it, or 0."""
    prev = ""
    for number, row in enumerate(rows, 1):
        match = _PREV.search(row)
        if match is None or match[1].decode() != prev:
            return number
        prev = sha256(row)
    return 0


def is_locked(folder: RunFolder) -> bool:
    """Return whether a process writes the run: on this machine (lock) or another (claim)."""
    try:
        lock = os.open(folder.lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
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
    """Return the number of runs in each state."""
    return Counter(s.state for s in statuses)


def resolve(study: Study, beside: Path, data_root: Path | None = None) -> Study:
    """Fill in the digests of files of strategies, encoders and weights; build each strategy once.

    Raises:
        InputError: a strategy is unknown or cannot be built, or a file of an encoder or of weights is missing or has
            another digest than declared.
    """
    from runners.confine.opening import declared_or_built  # loads torch, as the others
    from runners.regimes.pretraining.bodies import with_weights_digest  # loads torch, which `status` does without
    from runners.strategies.resolve import resolve_spec, user_source

    strategies = tuple(resolve_spec(s, beside) for s in study.strategies)
    for spec in strategies:
        declared_or_built(spec, user_source(spec, beside))
    protocols = tuple(with_weights_digest(_with_encoder(p, data_root, beside), data_root) for p in study.protocols)
    return Study(
        name=study.name,
        protocols=protocols,
        strategies=strategies,
        seeds=study.seeds,
        plan=study.plan,
        metric=study.metric,
    )


def _with_encoder(protocol: Protocol, data_root: Path | None, beside: Path) -> Protocol:
    if protocol.data.encoder is None:
        return protocol
    from runners.encoding.resolve import resolve_files  # loads torch, which `status` does without

    data = protocol.data.model_copy(update={"encoder": resolve_files(protocol.data.encoder, data_root, beside)})
    return protocol.model_copy(update={"data": data})


def adopt(folder: StudyFolder, study: Study, beside: Path) -> None:
    """Write the plan into the folder, or check that it is the same; copy user strategies."""
    folder.adopt(study)
    copy_own_files(folder, study, beside)


def copy_own_files(folder: StudyFolder, study: Study, beside: Path) -> None:
    """Copy strategy files, given relative to `beside`, into the study folder, each once."""
    from runners.strategies.resolve import user_file  # loads torch, which `status` does without

    for spec in study.strategies:
        source = user_file(spec, beside)
        copy = copied_source(folder, spec)
        if source is not None and copy is not None and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def copied_source(folder: StudyFolder, spec: StrategySpec) -> Path | None:
    """Return the study's copy of a user strategy's source; `None` for built-in ones."""
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
    """Return the jobs that perform `runs`."""
    from runners.machine.environment import describe  # loads torch, which `status` does without

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
