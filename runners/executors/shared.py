"""Work shared with other processes: runs that they are making are waited for, and made here if they end without having finished them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Final

from protocol.record.layout import StudyFolder
from runners.executors.base import Executor, Stop, Update
from runners.progress.job import Job, Result
from runners.progress.plan import PlannedRun
from runners.progress.status import RunStatus, state

LOOK_SECONDS: Final = 2.0


@dataclass
class Shared:
    """An executor that answers for every job, whoever makes the run.

    Args:
        first: makes what nobody else is making.
        again: builds an executor for those that others left unfinished.
        stop: asked at every look; what others make is then left to them, without an answer.
        waiting: told the number of runs that others make, once nothing else is to be done.
    """

    first: Executor
    again: Callable[[], Executor]
    stop: Stop
    waiting: Callable[[int], None] = lambda _: None

    def execute(self, jobs: Sequence[Job]) -> Generator[Update | Result, None, None]:
        """See `Executor`. No result says "busy"."""
        todo, executor = list(jobs), self.first
        while todo:
            busy: list[Job] = []
            by_id = {job.id: job for job in todo}
            with contextlib.closing(executor.execute(todo)) as stream:
                for message in stream:
                    if isinstance(message, Result) and message.state == "busy":
                        busy.append(by_id[message.id])
                    else:
                        yield message
            todo = []
            if busy and not self.stop.requested:
                self.waiting(len(busy))
                yield from self._wait(busy, todo)
            if self.stop.requested:
                return
            if todo:
                executor = self.again()

    def _wait(self, busy: list[Job], unfinished: list[Job]) -> Generator[Update | Result, None, None]:
        """Until nobody else makes one of them any more, or all must stop; fills in those that are left to be made."""
        last: dict[str, Update] = {}
        while busy and not self.stop.requested:
            time.sleep(LOOK_SECONDS)
            for job in list(busy):
                found = _look(job)
                if found.state == "running":
                    update = Update(job.id, found.rounds, found.trials)
                    if update != last.get(job.id):
                        last[job.id] = update
                        yield update
                    continue
                busy.remove(job)
                if found.state == "done":
                    yield Result(job.id, "done")
                elif found.state == "failed":
                    yield Result(job.id, "failed", f"{job.id}, made by another process\n  found:    {found.message}")
                else:
                    unfinished.append(job)


def _look(job: Job) -> RunStatus:
    folder = StudyFolder(job.study).run(job.run)
    return state(folder, PlannedRun(job.protocol, job.strategy, job.seed))
