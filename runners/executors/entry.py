"""Entry point of a run's process, apart from `worker`: the driver must not load what the fork server has loaded."""

from __future__ import annotations

from multiprocessing.connection import Connection

from runners.progress.job import Job


def begin(job: Job, pipe: Connection, gpu: str | None) -> None:
    """Run a job in a forked process."""
    from runners.executors.worker import work

    work(job, pipe, gpu)


def begin_turns(pipe: Connection) -> None:
    """Run the jobs that come through the pipe in a forked process, one after the other; see `begin`."""
    from runners.executors.worker import take_turns

    take_turns(pipe)
