"""Jobs and results, exchanged between processes; schedulers must not import torch."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from protocol.errors import BeatRandomError
from protocol.record.chain import open_record
from protocol.record.events import FailureEvent
from protocol.record.layout import StudyFolder
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import StrategySpec

Progress = Callable[[int, int], None]
"""Called with the numbers of complete rounds and of settings tried for the next round; may raise `Stopped`."""

Cause = Literal["own", "machine", "disk"]

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Errors of a disk that will fail the next run, too."""


@dataclass(frozen=True)
class Job:
    """Everything that a process needs to perform one run; picklable.

    Attributes:
        plan: fingerprint of the study.
        strategy_file: source of a user strategy.
        isolate: whether the oracle has a process of its own.
        tables: whether to keep log-probabilities, or maps of a few test images.
    """

    study: Path
    plan: str
    protocol: Protocol
    strategy: StrategySpec
    seed: int
    strategy_file: Path | None = None
    data_root: Path | None = None
    device: str = "cpu"
    threads: int = 1
    environment: tuple[tuple[str, Any], ...] = ()
    isolate: bool = False
    tables: bool = True

    @property
    def run(self) -> RunId:
        """Return the names of protocol and strategy, and the seed."""
        return RunId(self.protocol.name, self.strategy.id, self.seed)

    @property
    def id(self) -> str:
        """Return the readable form of `run`, e.g. digits-plain/entropy/seed-3."""
        return str(self.run)


class Stopped(BaseException):
    """Raised by `Progress` after a round or a trial: the run stops here and can be continued."""


@dataclass(frozen=True)
class Result:
    """How a job ended.

    Attributes:
        state: done, failed, stopped after a complete round, or busy: another process performs the run.
        message: reason of a failure.
        cause: of a failure: the run's own code (not retried), the machine (retried), or a full disk (all runs fail).
    """

    id: str
    state: Literal["done", "failed", "stopped", "busy"]
    message: str = ""
    cause: Cause = "own"


def record_death(job: Job, kind: str, message: str, details: str) -> None:
    """Record that a worker process died, on its behalf.

    Does nothing if there is no record yet, or if it cannot be written: the next attempt will report that.
    """
    folder = StudyFolder(job.study).run(job.run)
    with contextlib.suppress(OSError, BeatRandomError), open_record(folder) as (writer, before):
        if before is not None and not before.sealed:
            writer.append(
                FailureEvent(round=len(before.rounds), kind=kind, message=message[:2000], details=details[-4000:])
            )
