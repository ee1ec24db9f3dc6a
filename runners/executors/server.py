"""The fork server: one process that has loaded torch, from which every run is forked. Importing this loads nothing heavy."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from types import ModuleType
from typing import Any

from runners.progress.job import Job

PRELOAD = ["runners.machine.stop_signals", "runners.executors.worker"]


def begin(job: Job, pipe: Connection, gpu: str | None) -> None:
    """What a forked process does. Named here, so that who starts it need not load what the server has loaded."""
    from runners.executors.worker import work

    work(job, pipe, gpu)


def context() -> ForkServerContext:
    """The multiprocessing context whose processes start with everything loaded."""
    chosen = multiprocessing.get_context("forkserver")
    chosen.set_forkserver_preload(PRELOAD)
    return chosen


def warm_up(threads: int = 1) -> None:
    """Start the server now, so that it loads torch while this process does something else."""
    context()
    with thread_caps(threads):
        forkserver.ensure_running()


def server_pid() -> int:
    """Process id of the server that was asked last; 0 before the first one."""
    state: Any = forkserver._forkserver  # no public name for it
    return int(state._forkserver_pid or 0)


@contextlib.contextmanager
def without_main_module() -> Iterator[None]:
    """Processes started meanwhile do not load the main module of this one, be it a script without a guard or seconds of a scheduler's worker."""
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def thread_caps(threads: int) -> Iterator[None]:
    """OpenMP and BLAS read these once, when the fork server loads them."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: str(threads) for name in names})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
