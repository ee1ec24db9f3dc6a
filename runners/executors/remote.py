"""Runs on other machines: a job scheduler starts a `Task` there, and the task makes one run as `Local` does.

The scheduler's own process never trains: a run that hangs, leaks or crashes is seen and ended beside it, and told from a machine
that fails. A task that is started twice does no harm: the run's lock and claim let one of them work, and what is whole already
is not made again.
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
"""Between asking a task's process to end and ending it schedulers wait less (SLURM's KillWait is 30 s)."""
LET_GO_SECONDS: Final = 120.0
"""After a task is lost, its process may live and hold the run's lock for some seconds: "busy" is then no answer yet."""


class FlagStop(Stop):
    """Asked for by a file on the disk that driver and tasks share."""

    def __init__(self, flag: Path) -> None:
        super().__init__()
        self._flag = flag

    @property
    def requested(self) -> bool:
        """Whether the file is there."""
        return self._flag.exists() or super().requested


@dataclass(frozen=True)
class Task:
    """One run for another machine; picklable. `desk` is a folder that driver and tasks share."""

    job: Job
    limits: Limits
    desk: Path
    number: int

    @property
    def begun(self) -> Path:
        """A file that is there once the task has started."""
        return self.desk / f"begun-{self.number}"

    def __call__(self) -> Result:
        """Make the run, on the machine this is called on."""
        self.begun.touch()
        given = os.environ.get("CUDA_VISIBLE_DEVICES", "")  # what the scheduler gave to this task
        local = Local(1, self.limits, FlagStop(stop_flag(self.desk)), (given,) if given else ())
        with _terminated() as ended:
            results = [message for message in local.execute([self.job]) if isinstance(message, Result)]
            result = results[-1] if results else Result(self.job.id, "stopped")
            if ended and result.state == "failed":
                time.sleep(
                    LAST_SECONDS
                )  # this process ends next and the task begins anew; an answer now would be taken for its last
        return result

    def checkpoint(self) -> Any:
        """submitit's hook: put back into the queue, the task goes on from the run's last whole round."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@contextlib.contextmanager
def _terminated() -> Iterator[list[int]]:
    """Fills the list where this process is asked to end and whoever runs the task lives through it, as submitit does in a requeue."""
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
    """The file that asks all tasks of a desk to stop after the rounds under way."""
    return desk / "stop"


@dataclass(frozen=True)
class Lost:
    """A task that will not answer any more, and why."""

    why: str


class Backend(Protocol):
    """A job scheduler."""

    @property
    def room(self) -> int:
        """Tasks that may be handed over at a time, now."""
        ...

    def submit(self, tasks: Sequence[Task]) -> list[Any]:
        """Hand tasks over; a handle for each."""
        ...

    def outcome(self, handle: Any, task: Task) -> Result | Lost | None:
        """What became of a task; None while it waits or runs."""
        ...

    def cancel(self, handle: Any) -> None:
        """End a task at once, whatever its state."""
        ...

    def close(self) -> None:
        """Nothing more will be handed over."""
        ...


@dataclass
class _Running:
    task: Task
    handle: Any
    size: int = 0
    """Of the record, when it was read last."""
    told: Update | None = None


@dataclass
class Remote:
    """An executor over a scheduler's backend.

    Args:
        backend: the scheduler.
        limits: of each run; retries count machines that fail under a run, and runs that a machine fails, alike.
        stop: asked at every tick.
    """

    backend: Backend
    limits: Limits = field(default_factory=Limits)
    stop: Stop = field(default_factory=Stop)

    def execute(self, jobs: Sequence[Job]) -> Generator[Update | Result, None, None]:
        """See `Executor`."""
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
                with contextlib.suppress(
                    OSError
                ):  # a full disk takes no flag: what runs is ended with the grace period
                    stop_flag(desk).touch()
            if self.stop.overdue:
                return
            yield from self._fill(waiting, running)
            time.sleep(TICK_SECONDS)
            for item in list(running):
                yield from _progress(item)
                found = self.backend.outcome(item.handle, item.task)
                if found is None:
                    if self.stop.requested and not item.task.begun.exists():  # it would start only to be stopped
                        self.backend.cancel(item.handle)
                        running.remove(item)
                    continue
                running.remove(item)
                name = item.task.job.id
                if isinstance(found, Lost):
                    tries[name] += 1
                    lost[name] = time.monotonic()
                    text = f"{name}\n  expected: a machine that answers\n  found:    {found.why}\n  to do:    the same command continues"
                    found = Result(name, "failed", text, "machine")
                    if tries[name] <= self.limits.retries and not self.stop.requested:
                        waiting.append(item.task)
                        continue
                elif found.state == "busy" and time.monotonic() - lost.get(name, -LET_GO_SECONDS) < LET_GO_SECONDS:
                    waiting.append(item.task)
                    continue
                yield found

    def _fill(self, waiting: deque[Task], running: list[_Running]) -> Generator[Result, None, None]:
        """Hand over what there is room for; a result for each task that the disk did not take."""
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
    """The answer for jobs that could not be handed over, as runs give it that meet such a disk. Raises what is no fault of a disk."""
    if error.errno not in FULL:
        raise error
    for job in jobs:
        text = f"{job.id}\n  expected: to write what the scheduler's task reads\n  found:    {error}\n  to do:    make room, or let this folder be written"
        yield Result(job.id, "failed", text, "disk")


def _absolute(job: Job) -> Job:
    """The same job for a process that starts in another folder."""
    file, data = job.strategy_file, job.data_root
    return replace(
        job,
        study=job.study.resolve(),
        strategy_file=None if file is None else file.resolve(),
        data_root=None if data is None else data.resolve(),
    )


def _progress(item: _Running) -> Generator[Update, None, None]:
    """How far it is by its record: no message has to cross the network."""
    job = item.task.job
    events = StudyFolder(job.study).run(job.run).events
    try:
        size = events.stat().st_size
        if size == item.size:
            return
        update = Update(job.id, *progress_of(whole_lines(read_bytes(events))))
    except OSError:  # not begun, or a disk that is away for the moment
        return
    item.size = size
    if update != item.told:
        item.told = update
        yield update
