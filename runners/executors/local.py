"""Execution on this machine with one process per run, forked from a server that has torch loaded.

A killed worker costs only its own run. Each run has its own thread limit, so that parallel runs do not compete for
cores. Each run leads its own session, so that everything it started ends with it. Short runs of the project's own
strategies take turns in processes that live on: they share what they read, and are killed no less alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import psutil

from protocol.record.layout import StudyFolder
from protocol.safe_read import open_file
from runners.executors.base import STOP_SIGNAL, Limits, Stop, Update
from runners.executors.entry import begin, begin_turns
from runners.machine.fork_server import context, server_pid, thread_caps, without_main_module
from runners.machine.memory import available_mib, resident_mib
from runners.progress.job import Cause, Job, Result, record_death
from runners.run.turns import takes_turns

GRACE_SECONDS = 5.0
_LOG_END = 2**20
"""Last bytes of a log that are searched for its last lines."""
TICK_SECONDS = 0.5
MOST_TURNS = 500
"""Runs after which a process that short runs take turns in is replaced, so that no leak grows for long."""
OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGBUS})
"""Signals by which the machine ends a run (out-of-memory killer, administrator, failing disk), not its code."""

STARTS = 3
"""Attempts to start a process. Each attempt replaces a fork server that died in the meantime."""

UNKNOWN = 255
"""Exit code reported by multiprocessing if the fork server was killed too, e.g. when a scheduler preempts the job."""


@dataclass
class _Running:
    job: Job
    process: ForkServerProcess
    pipe: Connection
    gpu: str | None
    server: int
    """Process id of the fork server, the only process that learns how the run's process ended."""
    started: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)
    turns: int = 0
    """Runs that this process has been given, if they take turns; 0: it is the process of one run."""
    measured: float = 0.0
    mib: float = 0.0
    open: bool = True
    ready: bool = False
    notified: bool = False
    result: Result | None = None
    ended: Result | None = None
    """Result of a run that this executor ended."""

    def fail(self, expected: str, found: str, fix: str, cause: Cause = "own") -> Result:
        return _failed(self.job, expected, found, fix, cause)


class Local:
    """Executor with at most `slots` parallel runs, fewer while memory for another one is missing.

    Args:
        slots: largest number of parallel runs.
        limits: time and memory per run, and retries.
        stop: checked every TICK_SECONDS.
        gpus: values of CUDA_VISIBLE_DEVICES, each shared by slots / len(gpus) runs; empty: the variable is not set.
    """

    def __init__(
        self, slots: int, limits: Limits | None = None, stop: Stop | None = None, gpus: Sequence[str] = ()
    ) -> None:
        self._slots = slots
        self._limits = limits or Limits()
        self._stop = stop or Stop()
        self._gpus = gpus
        self._peak_mib = 0.0
        self._context = context()
        self._idle = list[_Running]()

    def execute(self, jobs: Sequence[Job]) -> Generator[Update | Result, None, None]:
        """Run the jobs; see `Executor`.

        After a failure of the machine, a job returns to the end of the queue, up to `limits.retries` times.
        """
        waiting, running = deque(jobs), list[_Running]()
        tries: Counter[str] = Counter()
        try:
            while running or (waiting and not self._stop.requested):
                ended = self._fill(waiting, running)
                wait([handle for r in running for handle in _handles(r)], TICK_SECONDS)
                for item in list(running):
                    yield from _drain(item)
                    self._enforce(item)
                    if item.turns and item.result is not None and item.result.state == "done" and item.ended is None:
                        running.remove(item)
                        self._idle.append(item)
                        ended.append((item.job, item.result))
                        continue
                    if item.process.is_alive() and not (item.turns and item.result is not None):
                        continue
                    yield from _drain(item)
                    running.remove(item)
                    ended.append((item.job, _finished(item)))
                for job, result in ended:
                    tries[result.id] += 1
                    if (
                        result.cause == "machine"
                        and tries[result.id] <= self._limits.retries
                        and not self._stop.requested
                    ):
                        waiting.append(job)
                    else:
                        yield result
                if self._stop.overdue:
                    return
        finally:
            _end(running)
            while self._idle:
                _dismiss(self._idle.pop())

    def _fill(self, waiting: deque[Job], running: list[_Running]) -> list[tuple[Job, Result]]:
        """Start jobs while slots and memory are free.

        Return the results of those that could not be started.
        """
        refused: list[tuple[Job, Result]] = []
        while waiting and not self._stop.requested and len(running) < self._slots and self._room(running):
            job = waiting.popleft()
            try:
                running.append(self._start(job, self._free_gpu(running)))
            except (EOFError, OSError) as error:
                died = f"the fork server died in each of {STARTS} attempts"
                found = f"{type(error).__name__}: {error}" if str(error) else died
                fix = "check the machine (memory, limits of processes and open files), then run the command again"
                refused.append((job, _failed(job, "a new process for the run", found, fix, "machine")))
        return refused

    def _room(self, running: Sequence[_Running]) -> bool:
        """Return whether memory is left for one more run as large as the largest so far.

        The current runs are assumed to grow to that size, too.
        """
        if not running or not self._peak_mib:
            return True
        expected_growth = sum(max(0.0, self._peak_mib - r.mib) for r in running)
        return available_mib() - expected_growth > self._peak_mib

    def _free_gpu(self, running: Sequence[_Running]) -> str | None:
        busy = Counter(r.gpu for r in running)
        return min(self._gpus, key=lambda gpu: busy[gpu], default=None)

    def _start(self, job: Job, gpu: str | None) -> _Running:
        """Start the job in an idle process or a new one. Raises EOFError or OSError if that is impossible."""
        if takes_turns(job):
            return self._next_turn(job)
        receive, send = self._context.Pipe(duplex=False)
        with send:
            try:
                return _Running(job, self._process(job, begin, job, send, gpu), receive, gpu, server_pid())
            except (EOFError, OSError):
                receive.close()
                raise

    def _next_turn(self, job: Job) -> _Running:
        """Give the job to a process whose last run is done, else to a new one."""
        while self._idle:
            last = self._idle.pop()
            with contextlib.suppress(OSError):  # it died meanwhile
                if last.turns < MOST_TURNS and last.process.is_alive() and last.job.threads == job.threads:
                    last.pipe.send(job)
                    now = _Running(job, last.process, last.pipe, None, last.server, turns=last.turns + 1)
                    now.mib, now.ready = last.mib, True
                    return now
            _dismiss(last)
        ours, theirs = self._context.Pipe()
        with theirs:
            try:
                process = self._process(job, begin_turns, theirs)
                ours.send(job)
            except (EOFError, OSError):
                ours.close()
                raise
        return _Running(job, process, ours, None, server_pid(), turns=1)

    def _process(self, job: Job, target: Callable[..., None], *arguments: object) -> ForkServerProcess:
        attempt = 1
        while True:
            process = self._context.Process(target=target, args=arguments, name=job.id)
            try:
                with thread_caps(job.threads), without_main_module():
                    process.start()
            except (EOFError, OSError):  # the server died meanwhile; the next attempt starts a new one
                if attempt == STARTS:
                    raise
            else:
                return process
            attempt += 1

    def _enforce(self, item: _Running) -> None:
        """Pass on a requested stop, and end a run that exceeds a limit."""
        if item.result is not None or not item.process.is_alive() or item.process.pid is None:
            return
        if self._stop.requested and item.ready and not item.notified:
            item.notified = True
            os.kill(item.process.pid, STOP_SIGNAL)
        now, limits = time.monotonic(), self._limits
        if now - item.measured >= TICK_SECONDS:  # it looks at every process of the machine
            item.measured, item.mib = now, resident_mib(item.process.pid)
        self._peak_mib = max(self._peak_mib, item.mib)
        if limits.run_seconds is not None and now - item.started > limits.run_seconds:
            fix = "raise --timeout, or fix the code that hangs"
            item.ended = item.fail(f"an end within {limits.run_seconds:.0f} s", "it was still running", fix)
        elif limits.memory_mib is not None and item.mib > limits.memory_mib:
            found = f"{item.mib:.0f} MiB"
            item.ended = item.fail(
                f"at most {limits.memory_mib:.0f} MiB", found, "raise --memory, or fix the memory leak"
            )
        elif now - item.heard > limits.silence_seconds:
            found = f"no sign of life for {limits.silence_seconds:.0f} s"
            item.ended = item.fail("a heartbeat", found, "check the machine, then run the command again", "machine")
        if item.ended is not None:
            _kill(item)


def _failed(job: Job, expected: str, found: str, fix: str, cause: Cause) -> Result:
    return Result(job.id, "failed", f"{job.id}\n  expected: {expected}\n  found:    {found}\n  to do:    {fix}", cause)


def _handles(item: _Running) -> list[Connection | int]:
    return [item.pipe, item.process.sentinel] if item.open else [item.process.sentinel]


def _drain(item: _Running) -> Iterator[Update]:
    try:
        while item.open and item.pipe.poll():
            message = item.pipe.recv()
            item.heard, item.ready = time.monotonic(), True
            if isinstance(message, Result):
                item.result = message
            elif message is not None:
                yield Update(item.job.id, *message)
    except (EOFError, OSError):
        item.open = False


def _finished(item: _Running) -> Result:
    _kill(item)  # ends processes that the run left behind
    item.process.join()
    item.pipe.close()
    code = item.process.exitcode or 0
    item.process.close()
    if item.result is not None:
        return item.result
    log = StudyFolder(item.job.study).run(item.job.run).log
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    cause: Cause = "machine" if code < 0 and -code in OUTSIDE else "own"
    if code == UNKNOWN and _gone(item.server):
        how, cause = "with the fork server; the machine ended all processes of this job", "machine"
    died = item.fail("a result from the worker", f"it died ({how})", f"see {log}, then run the command again", cause)
    result = item.ended or died
    record_death(item.job, "Ended" if item.ended else "Died", result.message, _end_of(log))
    return result


def _gone(pid: int) -> bool:
    """Return whether a process has ended, or ends within seconds: its pipes close before it is gone.

    A zombie counts as ended. Only the parent can wait for it, and this process may not be the parent.
    """
    if pid <= 0:
        return False
    until = time.monotonic() + GRACE_SECONDS
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
    return True


def _end_of(log: Path) -> str:
    """Return the last lines of the log.

    The list of extension modules that follows the stack of a crash is left out.
    """
    with contextlib.suppress(OSError):
        with open_file(log, 2**63 - 1) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_END))
            lines = file.read(_LOG_END).decode(errors="replace").splitlines()[-200:]
        return "\n".join(line for line in lines if not line.startswith("Extension modules:"))
    return ""


def _kill(item: _Running, how: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to the run's whole session, or to the process alone if it has no session yet."""
    if item.process.pid is None:
        return
    try:
        os.killpg(item.process.pid, how)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(item.process.pid, how)
    if how == signal.SIGKILL:
        item.process.join()


def _dismiss(item: _Running) -> None:
    """End a process that waits for its next turn."""
    item.pipe.close()
    _kill(item)
    item.process.join()
    item.process.close()


def _end(running: list[_Running]) -> None:
    for item in running:
        _kill(item, signal.SIGTERM)
    for item in running:
        item.process.join(GRACE_SECONDS)
        _kill(item)
