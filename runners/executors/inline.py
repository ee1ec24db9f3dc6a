"""Execution in this process, one run after the other, so that a debugger works."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from runners.executors.base import Stop, Update
from runners.progress.job import Job, Result, Stopped
from runners.run.perform import perform


class Inline:
    """Executor in the calling process and thread. It cannot limit time and memory; `Local` can."""

    def __init__(self, stop: Stop | None = None) -> None:
        self._stop = stop or Stop()

    def execute(self, jobs: Sequence[Job]) -> Generator[Update | Result, None, None]:
        """Run the jobs in order; see `Executor`. The updates of a job are yielded after it has ended."""
        for job in jobs:
            if self._stop.requested:
                return
            updates: list[Update] = []
            result = perform(
                job, lambda *done, job=job, updates=updates: self._report(Update(job.id, *done), job, updates)
            )
            yield from updates
            yield result

    def _report(self, update: Update, job: Job, updates: list[Update]) -> None:
        updates.append(update)
        if self._stop.requested and update.rounds < len(job.protocol.budgets):
            raise Stopped
