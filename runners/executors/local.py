"""One process per run on this machine, forked from a server that has torch loaded already.

A killed worker costs only its own run. Each run has its own thread cap, so runs side by side do
not fight for cores.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess

from runners.executors.base import Update
from runners.executors.server import context, thread_caps
from runners.jobs import Job, Result

GRACE_SECONDS = 5.0


@dataclass
class _Running:
    job: Job
    process: ForkServerProcess
    pipe: Connection
    result: Result | None = None


class Local:
    """At most `slots` runs at a time."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._context = context()

    def execute(self, jobs: Sequence[Job]) -> Generator[Update | Result, None, None]:
        """See `Executor`."""
        waiting = list(reversed(jobs))
        running: list[_Running] = []
        try:
            while waiting or running:
                while waiting and len(running) < self._slots:
                    running.append(self._start(waiting.pop()))
                wait([handle for r in running for handle in (r.pipe, r.process.sentinel)])
                for item in list(running):
                    yield from _drain(item)
                    if not item.process.is_alive():
                        yield from _drain(item)
                        running.remove(item)
                        yield _finished(item)
        finally:
            _stop(running)

    def _start(self, job: Job) -> _Running:
        from runners.executors.worker import work

        receive, send = self._context.Pipe(duplex=False)
        process = self._context.Process(target=work, args=(job, send), name=job.id, daemon=True)
        with thread_caps(job.threads):
            process.start()
        send.close()
        return _Running(job, process, receive)


def _drain(item: _Running) -> Iterator[Update]:
    with contextlib.suppress(EOFError, OSError):
        while item.pipe.poll():
            message = item.pipe.recv()
            if isinstance(message, Result):
                item.result = message
            else:
                yield Update(item.job.id, message)


def _finished(item: _Running) -> Result:
    item.process.join()
    item.pipe.close()
    code = item.process.exitcode
    item.process.close()
    if item.result is not None:
        return item.result
    how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
    return Result(
        item.job.id,
        "failed",
        f"{item.job.id}\n  expected: a worker that reports\n  found:    it died ({how})\n  to do:    run the same command again to continue",
    )


def _stop(running: list[_Running]) -> None:
    for item in running:
        item.process.terminate()
    for item in running:
        item.process.join(GRACE_SECONDS)
        if item.process.is_alive():
            item.process.kill()
            item.process.join()
