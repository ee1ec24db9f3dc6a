"""Code of a worker process.

The fork server imports this module once, so that no run has to load torch again.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import io
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import sklearn.datasets  # noqa: F401  # half a second
import torch

from protocol.record.layout import StudyFolder
from runners.confine.opening import is_own
from runners.confine.server import StrategyServer
from runners.executors.base import STOP_SIGNAL
from runners.progress.job import Job, Stopped
from runners.run.perform import perform

# The first optimizer makes torch import its compiler, which takes seconds. No operation runs, so no thread starts
# before the fork.
torch.optim.SGD([torch.nn.Parameter(torch.empty(1))], lr=1.0)

_LOADER = os.getpid()
"""Process that imported this module: the fork server."""
BEAT_SECONDS = 5.0
PR_SET_PDEATHSIG = 1
"""Constant of Linux's prctl.h."""


def work(job: Job, pipe: Connection, gpu: str | None = None) -> None:
    """Make the run, and send heartbeats, progress and finally the Result to the parent.

    A heartbeat is None; progress is rounds and trials.

    The process leads its own session, so that everything a strategy starts ends with it.
    """
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # read when CUDA starts, which happens in the run
    line = _Line(pipe)
    _log_to(StudyFolder(job.study).run(job.run).log, job)
    # before the first thread, and before any label is read
    server = StrategyServer.fork_now() if is_own(job.strategy) else None
    line.beat()
    line.perform(job, server)


def take_turns(pipe: Connection) -> None:
    """Make the runs that the parent sends, one after the other, until it closes the pipe; see `work`.

    They are short runs of the project's own strategies. What they read is kept for the next one.
    """
    line = _Line(pipe)
    faulthandler.enable()
    line.beat()
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        _log_to(StudyFolder(job.study).run(job.run).log, job)
        line.perform(job)


class _Line:
    """The line from this process to its parent. Creating it sets up session and signals."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._sending, self._stop = pipe, threading.Lock(), threading.Event()
        os.setsid()
        _end_with_the_server()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(STOP_SIGNAL, lambda *_: self._stop.set())

    def send(self, message: object) -> None:
        """Send a message; the parent may be gone, only the record counts."""
        with self._sending, contextlib.suppress(OSError):
            self._pipe.send(message)

    def beat(self) -> None:
        """Send heartbeats from now on."""
        threading.Thread(target=_beat, args=(self.send,), daemon=True).start()

    def perform(self, job: Job, server: StrategyServer | None = None) -> None:
        """Make a run, and send its progress and Result."""

        def report(rounds: int, trials: int) -> None:
            self.send((rounds, trials))
            if self._stop.is_set() and rounds < len(job.protocol.budgets):
                raise Stopped

        self.send(perform(job, report, server))


def _beat(send: Callable[[object], None]) -> None:
    """Send a heartbeat every few seconds.

    End this process and all that it started as soon as the parent is gone.
    """
    parent = multiprocessing.parent_process()
    while parent is not None:
        send(None)  # the first heartbeat tells the parent that signals are handled from now on
        if wait([parent.sentinel], BEAT_SECONDS):
            os.killpg(0, signal.SIGKILL)


def _end_with_the_server() -> None:
    """Make the system kill this process once the fork server, which ends with the driver, is gone.

    `_beat` cannot do this while hanging code holds the GIL. The server lives as long as any process holds a certain
    pipe, which its children inherit, so this process closes it.
    """
    if sys.platform != "linux":
        return
    server = _LOADER if os.getpid() != _LOADER else os.getppid()  # it may have ended already
    state: Any = forkserver._forkserver  # no public name for it
    pipe = getattr(state, "_forkserver_alive_fd", None)
    if pipe is not None:
        os.close(pipe)
        state._forkserver_alive_fd = None
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:  # it ended meanwhile
        os.kill(os.getpid(), signal.SIGKILL)


def _log_to(path: Path, job: Job) -> None:
    """Redirect standard output and error of this process and its children to the run's log.

    After a crash, the log ends with the stack.
    """
    with contextlib.suppress(OSError):  # if the log cannot be written, neither can the record, which reports it
        path.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # keeps what a strategy printed before a crash
        print(f"--- {datetime.now(UTC).isoformat(timespec='seconds')} {job.id}, process {os.getpid()}", flush=True)
    faulthandler.enable()
