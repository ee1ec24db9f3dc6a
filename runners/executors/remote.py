"""Execution on other machines, through a job scheduler.

The scheduler starts a `Task` there, and the task makes one run through `Local`. The scheduler's own process never
trains. So a run that hangs, leaks or crashes is detected and ended by it, and can be distinguished from a machine
that fails. Starting a task twice does no harm: the run's lock and claim admit one of the two, and finished rounds are
not repeated.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, Final, Protocol

from protocol.record.layout import StudyFolder
from protocol.safe_read import read_bytes
from runners.executors.base import Limits, Stop, Update
from runners.executors.local import Local
from runners.progress.job import FULL, Job, Result
from runners.progress.record_scan import progress_of, whole_lines

TICK_SECONDS: Final = 0.5
LAST_SECONDS: Final = 60.0
"""Longer than schedulers wait between asking a task's process to end and killing it (SLURM's KillWait is 30 s)."""
LET_GO_SECONDS: Final = 120.0
"""After a task is lost, its process may hold the run's lock for a while. Until then a result "busy" is ignored."""


class FlagStop(Stop):
    """Stop that is requested by a file on the disk shared by driver and tasks."""

    def __init__(self, flag: Path) -> None:
        super().__init__()
        self._flag = flag

    @property
    def requested(self) -> bool:
        """Return whether the file exists, or a stop was requested otherwise."""
        return self._flag.exists() or super().requested


@dataclass(frozen=True)
class Task:
    """One run for another machine; picklable.

    Attributes:
        job: the run.
        limits: limits of the run.
        desk: folder shared by driver and tasks.
        number: position in the list of jobs.
    """

    job: Job
    limits: Limits
    desk: Path
    number: int

    @property
    def begun(self) -> Path:
        """Return the file that exists once the task has started."""
        return self.desk / f"begun-{self.number}"

    def __call__(self) -> Result:
        """Make the run on the machine on which this is called."""
        self.begun.touch()
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")  # set by the scheduler for this task
        local = Local(1, self.limits, FlagStop(stop_flag(self.desk)), (gpus,) if gpus else ())
        with _terminated() as ended:
            results = [message for message in local.execute([self.job]) if isinstance(message, Result)]
            result = results[-1] if results else Result(self.job.id, "stopped")
            if ended and result.state == "failed":
                # the scheduler kills this process now and restarts the task; a result now would count as final
                time.sleep(LAST_SECONDS)
        return result

    def checkpoint(self) -> Any:
        """Return the task to submit after a requeue; a hook of submitit. The run continues from its record."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@contextlib.contextmanager
def _terminated() -> Iterator[list[int]]:
    """Yield a list that receives SIGTERM if the process survives the signal.

    It does so under submitit during a requeue.
    """
    before, seen = signal.getsignal(signal.SIGTERM), list[int]()
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        before(number, frame)

    signal.signal(signal.SIGTERM, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGTERM, before)


def stop_flag(desk: Path) -> Path:
    """Return the file whose existence asks all tasks of a desk to stop after their current rounds."""
    return desk / "stop"


@dataclass(frozen=True)
class Lost:
    """Outcome of a task that will return no result, with the reason."""

    why: str


class Backend(Protocol):
    """A job scheduler."""

    @property
    def room(self) -> int:
        """Return the number of tasks that may be submitted at a time now."""
        ...

    def submit(self, tasks: Sequence[Task]) -> list[Any]:
        """Submit tasks, and return one handle per task."""
        ...

    def outcome(self, handle: Any, task: Task) -> Result | Lost | None:
        """Return the outcome of a task, or None while it waits or runs."""
        ...

    def cancel(self, handle: Any) -> None:
        """End a task at once, whatever its state."""
        ...

    def close(self) -> None:
        """Release the scheduler; nothing more will be submitted."""
        ...


@dataclass
class _Running:
    task: Task
    handle: Any
    size: int = 0
    """Size of the record in bytes when it was last read."""
    last_update: Update | None = None


@dataclass
class Remote:
    """Executor that submits runs to a job scheduler.

    Args:
        backend: the scheduler.
        limits: limits of each run. Lost tasks and failures of the machine count as attempts alike.
        stop: checked every TICK_SECONDS.
    """

    backend: Backend
    limits: Limits = field(default_factory=Limits)
    stop: Stop = field(default_factory=Stop)

    def execute(self, jobs: Sequence[Job]) -> Generator[Update | Result, None, None]:
        """Submit the jobs; see `Executor`."""
        if not jobs:
            return
        desk = Path(jobs[0].study).resolve() / ".desk" / uuid.uuid4().hex
        try:
            desk.mkdir(parents=True)
        except OSError as error:
            self.backend.close()
            yield from _refused(jobs, error)
            return
        waiting = deque(Task(_absolute(job), self.limits, desk, number) for number, job in enumerate(jobs))
        running: list[_Running] = []
        try:
            yield from self._drive(desk, waiting, running)
        finally:
            for item in running:
                self.backend.cancel(item.handle)
            self.backend.close()
            shutil.rmtree(desk, ignore_errors=True)

    def _drive(
        self, desk: Path, waiting: deque[Task], running: list[_Running]
    ) -> Generator[Update | Result, None, None]:
        tries: Counter[str] = Counter()
        lost: dict[str, float] = {}
        while running or (waiting and not self.stop.requested):
            if self.stop.requested and not stop_flag(desk).exists():
                with contextlib.suppress(OSError):  # on a full disk, runs are ended when the grace period is over
                    stop_flag(desk).touch()
            if self.stop.overdue:
                return
            yield from self._fill(waiting, running)
            time.sleep(TICK_SECONDS)
            for item in list(running):
                yield from _progress(item)
                outcome = self.backend.outcome(item.handle, item.task)
                if outcome is None:
                    if self.stop.requested and not item.task.begun.exists():  # do not start it only to stop it
                        self.backend.cancel(item.handle)
                        running.remove(item)
                    continue
                running.remove(item)
                name = item.task.job.id
                if isinstance(outcome, Lost):
                    tries[name] += 1
                    lost[name] = time.monotonic()
                    text = (
                        f"{name}\n  expected: a result from the scheduler's task\n  found:    {outcome.why}\n"
                        "  to do:    run the command again"
                    )
                    outcome = Result(name, "failed", text, "machine")
                    if tries[name] <= self.limits.retries and not self.stop.requested:
                        waiting.append(item.task)
                        continue
                elif outcome.state == "busy" and time.monotonic() - lost.get(name, -LET_GO_SECONDS) < LET_GO_SECONDS:
                    waiting.append(item.task)
                    continue
                yield outcome

    def _fill(self, waiting: deque[Task], running: list[_Running]) -> Generator[Result, None, None]:
        """Submit as many tasks as allowed, and yield a failed result per task that the disk refused."""
        count = min(len(waiting), self.backend.room - len(running))
        if count <= 0 or self.stop.requested:
            return
        tasks = [waiting.popleft() for _ in range(count)]
        try:
            for task in tasks:
                task.begun.unlink(missing_ok=True)
            handles = self.backend.submit(tasks)
        except OSError as error:
            yield from _refused([task.job for task in tasks], error)
            return
        running += [_Running(task, handle) for task, handle in zip(tasks, handles, strict=True)]


def _refused(jobs: Sequence[Job], error: OSError) -> Generator[Result, None, None]:
    """Yield a failed result for each job that could not be written to disk. Other errors are raised again."""
    if error.errno not in FULL:
        raise error
    for job in jobs:
        text = (
            f"{job.id}\n  expected: a writable folder for the scheduler's task\n  found:    {error}\n"
            "  to do:    free space, or make this folder writable"
        )
        yield Result(job.id, "failed", text, "disk")


def _absolute(job: Job) -> Job:
    """Return the job with absolute paths, for a process that starts in another folder."""
    file, data = job.strategy_file, job.data_root
    return replace(
        job,
        study=job.study.resolve(),
        strategy_file=None if file is None else file.resolve(),
        data_root=None if data is None else data.resolve(),
    )


def _progress(item: _Running) -> Generator[Update, None, None]:
    """Yield the progress of a run as read from its record, so that no message has to cross the network."""
    job = item.task.job
    events = StudyFolder(job.study).run(job.run).events
    try:
        size = events.stat().st_size
        if size == item.size:
            return
        update = Update(job.id, *progress_of(whole_lines(read_bytes(events))))
    except OSError:  # not started, or the disk is temporarily unavailable
        return
    item.size = size
    if update != item.last_update:
        item.last_update = update
        yield update
