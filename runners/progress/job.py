"""One run to be made, and how it ended, as processes tell one another. Loads nothing heavy: those that only hand runs on never need torch."""

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
"""Called with the number of whole rounds, and of settings tried for the next one, of a protocol that is tuned; may raise `Stopped`."""

Cause = Literal["own", "machine", "disk"]

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Errors of a disk that will refuse the next run as well."""


@dataclass(frozen=True)
class Job:
    """Everything a process needs to make one run; picklable."""

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
    """Whether log-probabilities, or maps of a few images, are kept beside what the metrics are computed from."""

    @property
    def run(self) -> RunId:
        """Return the names of protocol and strategy, and the seed."""
        return RunId(self.protocol.name, self.strategy.id, self.seed)

    @property
    def id(self) -> str:
        """Return the readable form of `run`, e.g. digits-plain/entropy/seed-3."""
        return str(self.run)


class Stopped(BaseException):
    """Raised by `Progress` at the end of a round or a trial: the run ends here, whole, and goes on another time."""


@dataclass(frozen=True)
class Result:
    """How a job ended: done, failed (with what to say), stopped after a whole round, or busy elsewhere.

    `cause` of a failure: the run's own code (never tried again by itself), the machine (worth another
    attempt), or a disk that takes nothing more (nothing else will succeed either).
    """

    id: str
    state: Literal["done", "failed", "stopped", "busy"]
    message: str = ""
    cause: Cause = "own"


def record_death(job: Job, kind: str, message: str, details: str) -> None:
    """Write into the record, for a worker that could not do so itself, that an attempt failed.

    Does nothing if there is no record yet, or if it cannot be written: the next attempt will say so.
    """
    folder = StudyFolder(job.study).run(job.run)
    with contextlib.suppress(OSError, BeatRandomError), open_record(folder) as (writer, before):
        if before is not None and not before.sealed:
            writer.append(
                FailureEvent(round=len(before.rounds), kind=kind, message=message[:2000], details=details[-4000:])
            )
