"""Interface of all executors: jobs in, results out as they arrive; and what may end a run early."""

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
    """Progress of a running job.

    Attributes:
        id: the job's id.
        rounds: finished rounds.
        trials: hyperparameter settings tried so far for the next round; 0 without tuning.
    """

    id: str
    rounds: int
    trials: int = 0


@dataclass(frozen=True)
class Limits:
    """Limits of each run, and the number of retries after failures of the machine.

    Attributes:
        run_seconds: longest duration of one attempt; None: no limit.
        memory_mib: largest resident memory of one run in MiB; None: no limit.
        retries: further attempts after a failure of the machine (killed from outside, disk, out of memory). A failure
            of the run's own code is never retried.
        silence_seconds: a worker without a heartbeat for this long counts as dead.
    """

    run_seconds: float | None = None
    memory_mib: float | None = None
    retries: int = 2
    silence_seconds: float = 900.0


class Stop:
    """Request to start nothing more and to finish the current rounds within a grace period.

    The request comes by a signal or a clock.

    Args:
        after_seconds: requests the stop by itself after this time; None: never.
    """

    def __init__(self, after_seconds: float | None = None) -> None:
        self._from = time.monotonic() + after_seconds if after_seconds is not None else math.inf
        self._until = math.inf

    def request(self, grace_seconds: float = math.inf) -> None:
        """Request a stop now. Rounds still running after `grace_seconds` are repeated by the next run."""
        now = time.monotonic()
        self._from, self._until = min(self._from, now), min(self._until, now + grace_seconds)

    @property
    def requested(self) -> bool:
        """Return whether a stop was requested, so that nothing more may start."""
        return time.monotonic() >= self._from

    @property
    def overdue(self) -> bool:
        """Return whether the grace period is over."""
        return time.monotonic() >= self._until


class Executor(Protocol):
    """Runs every job. A failed job never cancels another."""

    def execute(self, jobs: Sequence[Job]) -> Generator[Update | Result, None, None]:
        """Yield updates while jobs run and one Result per job, in any order.

        After a requested stop, jobs that were not started yield no Result. Closing the iterator, or throwing an
        exception into it, ends all running jobs at once. The records stay whole, and the same jobs can be executed
        again.
        """
        ...


STOP_SIGNAL = signal.SIGUSR1
"""Signal that asks a run's process to end after the current round."""
