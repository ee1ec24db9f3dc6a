"""The one interface of all executors: jobs in, results out as they come; and what may end them early."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from runners.progress.job import Job, Result


@dataclass(frozen=True)
class Update:
    """Rounds a running job has finished, and settings it has tried for the next one, of a protocol that is tuned."""

    id: str
    rounds: int
    trials: int = 0


@dataclass(frozen=True)
class Limits:
    """What a run may take, and how often the machine's own failures are tried again.

    Attributes:
        run_seconds: longest attempt at one run; None: no limit.
        memory_mib: largest resident memory of one run; None: no limit.
        retries: further attempts after a failure of the machine (killed from outside, disk, out of memory); a failure
            of the run's own code is never tried again by itself.
        silence_seconds: a worker whose heartbeat stays away for so long is taken for dead.
    """

    run_seconds: float | None = None
    memory_mib: float | None = None
    retries: int = 2
    silence_seconds: float = 900.0


class Stop:
    """Asked for by a signal or a clock: start nothing more, finish the rounds under way within a grace period."""

    def __init__(self, after_seconds: float | None = None) -> None:
        self._from = time.monotonic() + after_seconds if after_seconds is not None else math.inf
        self._until = math.inf

    def request(self, grace_seconds: float = math.inf) -> None:
        """Stop from now on; rounds still under way after `grace_seconds` are given up (they are made again later)."""
        now = time.monotonic()
        self._from, self._until = min(self._from, now), min(self._until, now + grace_seconds)

    @property
    def requested(self) -> bool:
        """Whether nothing more may start."""
        return time.monotonic() >= self._from

    @property
    def overdue(self) -> bool:
        """Whether the grace period is over."""
        return time.monotonic() >= self._until


class Executor(Protocol):
    """Starts every job; one job's failure never cancels another."""

    def execute(self, jobs: Sequence[Job]) -> Generator[Update | Result, None, None]:
        """Yield updates while jobs run and one Result a job, in any order; asked to stop, none for what was not started.

        Closing the iterator (or an exception thrown into it) stops what is running at once; the
        records stay whole and the same jobs can be executed again.
        """
        ...


STOP_SIGNAL = signal.SIGUSR1
"""Sent to a run's process: end after the round under way."""
