"""Fork server: one process that has loaded torch, from which every run is forked.

Importing this module loads nothing heavy.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from types import ModuleType
from typing import Any

PRELOAD = ["runners.machine.stop_signals", "runners.executors.worker"]
"""Modules by name: this room knows nothing of the rooms above it."""


def context() -> ForkServerContext:
    """Return the multiprocessing context whose processes start with everything loaded."""
    forkserver_context = multiprocessing.get_context("forkserver")
    forkserver_context.set_forkserver_preload(PRELOAD)
    return forkserver_context


def warm_up(threads: int = 1) -> None:
    """Start the server now, so that it loads torch in the background."""
    context()
    with thread_caps(threads):
        forkserver.ensure_running()


def server_pid() -> int:
    """Return the process id of the current server; 0 before it was first started."""
    state: Any = forkserver._forkserver  # no public name for it
    return int(state._forkserver_pid or 0)


@contextlib.contextmanager
def without_main_module() -> Iterator[None]:
    """Keep processes started in this context from importing the main module of this one.

    It may be a script without a `__main__` guard, or a scheduler's worker that takes seconds to import.
    """
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def thread_caps(threads: int) -> Iterator[None]:
    """Set the thread limits of OpenMP and BLAS, which the fork server reads once when it loads them."""
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
