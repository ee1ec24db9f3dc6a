"""The progress of `run`: trainings made and left, by the work that is expected of each."""

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
from runners.verbs.running.stopping import GRACE_SECONDS, signals
from runners.verbs.shared.console import console

UNKNOWN = "-:--:--"


@dataclass(frozen=True)
class _Far:
    """How far one run is, or all together: expected work done and left, trainings made and meant."""

    done: float = 0.0
    left: float = 0.0
    made: int = 0
    meant: int = 0

    @classmethod
    def of(cls, s: RunStatus, seconds: float) -> _Far:
        protocol, left = s.planned.protocol, seconds_left([s], [seconds])
        made = count_trainings(protocol, s.rounds, s.trials)
        return cls(seconds - left, left, made, count_trainings(protocol, len(protocol.budgets)))

    def given_up(self) -> _Far:
        return _Far(self.done, 0.0, self.made, self.made)

    def and_with(self, other: _Far, times: int = 1) -> _Far:
        return _Far(*(a + times * b for a, b in zip(astuple(self), astuple(other), strict=True)))


class Tally:
    """How far the runs are, kept up to date by an executor's messages.

    Args:
        work: the runs.
        todo: how far each is before.
        seconds: what each takes as a whole, in any unit.
    """

    def __init__(self, work: Sequence[Job], todo: Sequence[RunStatus], seconds: Sequence[float]) -> None:
        self._runs = {job.id: (s, t) for job, s, t in zip(work, todo, seconds, strict=True)}
        self._far = {name: _Far.of(s, t) for name, (s, t) in self._runs.items()}
        self._all = reduce(_Far.and_with, self._far.values(), _Far())
        self._tuned = any(job.protocol.regime.tuning for job in work)
        self.before = self._all.done
        """Of the work, what was done before."""

    def take(self, message: Update | Result) -> None:
        """A run that failed is no work any more; one that is stopped or made elsewhere stays where it is."""
        last, (status, seconds) = self._far[message.id], self._runs[message.id]
        now = last
        if isinstance(message, Update):
            now = _Far.of(replace(status, rounds=message.rounds, trials=message.trials), seconds)
        elif message.state == "done":
            now = _Far(seconds, 0.0, last.meant, last.meant)
        elif message.state == "failed":
            now = last.given_up()
        self._far[message.id] = now
        self._all = self._all.and_with(last, -1).and_with(now)  # plans may have ten thousand runs

    @property
    def bar(self) -> dict[str, float]:
        """What `rich` draws: work done, and that with what is left, in one unit."""
        return {"completed": self._all.done, "total": self._all.done + self._all.left}

    @property
    def said(self) -> str:
        """The same in trainings: 7/60 rounds, or, where settings are tried before rounds, trainings of either kind."""
        return f"{self._all.made}/{self._all.meant} {'trainings' if self._tuned else 'rounds'}"


class Left(ProgressColumn):
    """Time left, by the work since the start: trainings take from a second to hours, and end in clusters, so a short window would mislead."""

    def render(self, task: Task) -> Text:
        """Of a task with a field `before`: what of it was completed before the start."""
        made = task.completed - task.fields["before"]
        if task.elapsed is None or task.remaining is None or made <= 0:
            return Text(UNKNOWN, style="progress.remaining")
        return Text(str(timedelta(seconds=round(task.elapsed / made * task.remaining))), style="progress.remaining")


def watched(
    executor: Executor, stop: Stop, work: Sequence[Job], todo: Sequence[RunStatus], seconds: Sequence[float]
) -> list[Result]:
    """Drive the executor under a progress bar; a signal, the clock or a full disk ask it to stop."""
    tally, results = Tally(work, todo, seconds), list[Result]()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[said]}", style="progress.download"),
        TimeElapsedColumn(),
        TextColumn("left"),
        Left(),
    )
    with (
        signals(stop),
        Progress(*columns, console=console) as bar,
        contextlib.closing(executor.execute(work)) as stream,
    ):
        task = bar.add_task("running", **tally.bar, said=tally.said, before=tally.before)  # type: ignore[arg-type]
        for message in stream:  # leaving it stops the workers that still run
            tally.take(message)
            if isinstance(message, Result):
                results.append(message)
                if message.state == "failed":
                    console.print(f"failed: {message.id}\n{first_lines(message.message)}", markup=False)
                if message.cause == "disk":
                    stop.ask(GRACE_SECONDS)
            bar.update(task, **tally.bar, said=tally.said, description=f"{len(results)}/{len(work)} runs")  # type: ignore[arg-type]
    return results


def first_lines(text: str, lines: int = 6) -> str:
    """The beginning of a message, indented."""
    return "\n".join("  " + line for line in text.splitlines()[:lines])
