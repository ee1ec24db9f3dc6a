"""Progress bar of `run`: trainings done and left, weighted by their expected time."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from datetime import timedelta
from functools import reduce

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from runners.executors.base import Executor, Stop, Update
from runners.progress.expected_time import count_trainings, seconds_left
from runners.progress.job import Job, Result
from runners.progress.status import RunStatus
from runners.terminal.console import console
from runners.terminal.stopping import GRACE_SECONDS, signals

UNKNOWN = "-:--:--"


@dataclass(frozen=True)
class _Progress:
    """Progress of one run or of all: expected work done and left, trainings made and planned."""

    done: float = 0.0
    left: float = 0.0
    made: int = 0
    planned: int = 0

    @classmethod
    def of(cls, s: RunStatus, seconds: float) -> _Progress:
        protocol, left = s.planned.protocol, seconds_left([s], [seconds])
        made = count_trainings(protocol, s.rounds, s.trials)
        return cls(seconds - left, left, made, count_trainings(protocol, len(protocol.budgets)))

    def given_up(self) -> _Progress:
        return _Progress(self.done, 0.0, self.made, self.made)

    def and_with(self, other: _Progress, times: int = 1) -> _Progress:
        return _Progress(*(a + times * b for a, b in zip(astuple(self), astuple(other), strict=True)))


class Tally:
    """Progress of all runs, updated by the messages of an executor.

    Args:
        work: the runs.
        todo: status of each run at the start.
        seconds: expected time of each whole run, in any unit.
    """

    def __init__(self, work: Sequence[Job], todo: Sequence[RunStatus], seconds: Sequence[float]) -> None:
        self._runs = {job.id: (s, t) for job, s, t in zip(work, todo, seconds, strict=True)}
        self._progress = {name: _Progress.of(s, t) for name, (s, t) in self._runs.items()}
        self._all = reduce(_Progress.and_with, self._progress.values(), _Progress())
        self._tuned = any(job.protocol.regime.tuning for job in work)
        self.before = self._all.done
        """Work that was done before the start."""

    def take(self, message: Update | Result) -> None:
        """Update by a message. Work of a failed run is dropped; a stopped run keeps its progress."""
        last, (status, seconds) = self._progress[message.id], self._runs[message.id]
        now = last
        if isinstance(message, Update):
            now = _Progress.of(replace(status, rounds=message.rounds, trials=message.trials), seconds)
        elif message.state == "done":
            now = _Progress(seconds, 0.0, last.planned, last.planned)
        elif message.state == "failed":
            now = last.given_up()
        self._progress[message.id] = now
        self._all = self._all.and_with(last, -1).and_with(now)  # not summed again: plans may have ten thousand runs

    @property
    def bar(self) -> dict[str, float]:
        """Return `completed` and `total` of rich's progress bar, in one unit."""
        return {"completed": self._all.done, "total": self._all.done + self._all.left}

    @property
    def label(self) -> str:
        """Return the progress in words: 7/60 rounds, or trainings if settings are tuned."""
        return f"{self._all.made}/{self._all.planned} {'trainings' if self._tuned else 'rounds'}"


class Left(ProgressColumn):
    """Time left, from all work since the start: trainings end in clusters."""

    def render(self, task: Task) -> Text:
        """Render the time left of a task; its field `before` is the work done before."""
        made = task.completed - task.fields["before"]
        if task.elapsed is None or task.remaining is None or made <= 0:
            return Text(UNKNOWN, style="progress.remaining")
        return Text(str(timedelta(seconds=round(task.elapsed / made * task.remaining))), style="progress.remaining")


def watched(
    executor: Executor, stop: Stop, work: Sequence[Job], todo: Sequence[RunStatus], seconds: Sequence[float]
) -> list[Result]:
    """Drive the executor under a progress bar. A signal, the time limit or a full disk stops it."""
    tally, results = Tally(work, todo, seconds), list[Result]()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[label]}", style="progress.download"),
        TimeElapsedColumn(),
        TextColumn("left"),
        Left(),
    )
    with (
        signals(stop),
        Progress(*columns, console=console) as bar,
        contextlib.closing(executor.execute(work)) as stream,
    ):
        task = bar.add_task("running", **tally.bar, label=tally.label, before=tally.before)  # type: ignore[arg-type]
        for message in stream:  # leaving the loop stops the workers
            tally.take(message)
            if isinstance(message, Result):
                results.append(message)
                if message.state == "failed":
                    console.print(f"failed: {message.id}\n{first_lines(message.message)}", markup=False)
                if message.cause == "disk":
                    stop.request(GRACE_SECONDS)
            bar.update(task, **tally.bar, label=tally.label, description=f"{len(results)}/{len(work)} runs")  # type: ignore[arg-type]
    return results


def first_lines(text: str, lines: int = 6) -> str:
    """Return the first lines of a message, indented."""
    return "\n".join("  " + line for line in text.splitlines()[:lines])
