"""In this process, one after the other: a debugger works."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from runners.executors.base import Update
from runners.jobs import Job, Result, perform


class Inline:
    """Runs jobs in the calling process and thread."""

    def execute(self, jobs: Sequence[Job]) -> Generator[Update | Result, None, None]:
        """See `Executor`; updates come after each job."""
        for job in jobs:
            updates: list[Update] = []
            result = perform(job, lambda done, job=job, updates=updates: updates.append(Update(job.id, done)))  # type: ignore[misc]
            yield from updates
            yield result
