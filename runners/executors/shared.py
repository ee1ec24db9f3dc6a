"""Execution shared with other processes on the same study.

Runs that others are making are waited for, and made here if the others end without finishing them.
"""

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
    """Executor that yields a result for every job, including runs made by other processes.

    Args:
        first: executor for the runs that no other process is making.
        again: builds an executor for runs that others left unfinished.
        stop: checked every LOOK_SECONDS. After a stop, runs of other processes yield no result.
        waiting: called with the number of runs of other processes, once only those are left.
    """

    first: Executor
    again: Callable[[], Executor]
    stop: Stop
    waiting: Callable[[int], None] = lambda _: None

    def execute(self, jobs: Sequence[Job]) -> Generator[Update | Result, None, None]:
        """Run the jobs; see `Executor`. No result has the state "busy"."""
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
        """Wait until other processes have ended their runs or a stop is requested.

        Runs that they left unfinished are appended to `unfinished`.
        """
        last: dict[str, Update] = {}
        while busy and not self.stop.requested:
            time.sleep(LOOK_SECONDS)
            for job in list(busy):
                status = _status_of(job)
                if status.state == "running":
                    update = Update(job.id, status.rounds, status.trials)
                    if update != last.get(job.id):
                        last[job.id] = update
                        yield update
                    continue
                busy.remove(job)
                if status.state == "done":
                    yield Result(job.id, "done")
                elif status.state == "failed":
                    yield Result(job.id, "failed", f"{job.id}, made by another process\n  found:    {status.message}")
                else:
                    unfinished.append(job)


def _status_of(job: Job) -> RunStatus:
    folder = StudyFolder(job.study).run(job.run)
    return state(folder, PlannedRun(job.protocol, job.strategy, job.seed))
