"""In this process, one after the other: a debugger works."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from runners.executors.base import Stop, Update
from runners.progress.job import Job, Result, Stopped
from runners.run.perform import perform


class Inline:
    """Runs jobs in the calling process and thread. Limits of time and memory need a process of its own: see `Local`."""

    def __init__(self, stop: Stop | None = None) -> None:
        self._stop = stop or Stop()

    def execute(self, jobs: Sequence[Job]) -> Generator[Update | Result, None, None]:
        """See `Executor`; updates come after each job."""
        for job in jobs:
            if self._stop.requested:
                return
            updates: list[Update] = []
            result = perform(job, lambda *far, job=job, updates=updates: self._tell(Update(job.id, *far), job, updates))
            yield from updates
            yield result

    def _tell(self, update: Update, job: Job, updates: list[Update]) -> None:
        updates.append(update)
        if self._stop.requested and update.rounds < len(job.protocol.budgets):
            raise Stopped
