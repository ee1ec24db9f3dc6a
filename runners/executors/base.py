"""The one interface of all executors: jobs in, results out as they come."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from runners.jobs import Job, Result


@dataclass(frozen=True)
class Update:
    """Rounds a running job has finished."""

    id: str
    rounds: int


class Executor(Protocol):
    """Starts every job once; one job's failure never cancels another."""

    def execute(self, jobs: Sequence[Job]) -> Generator[Update | Result, None, None]:
        """Yield updates while jobs run and one Result a job, in any order.

        Closing the iterator (or an exception thrown into it) stops what is running; the records
        stay whole and the same jobs can be executed again.
        """
        ...
