"""Memory that a worker uses, and memory still available on this machine or in this container."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

MIB = 2**20
CGROUP = Path("/sys/fs/cgroup")


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process and its descendants in MiB; 0 if it has ended.

    Shared pages count once per process.
    """
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += each.memory_info().rss
    return total / MIB


def available_mib(cgroup: Path = CGROUP) -> float:
    """Return the available memory in MiB.

    It is the machine's, or what the container's limit (cgroup v2) leaves if that is less.
    """
    free = float(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):  # no container, no limit ("max"), or another cgroup version
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        cache = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        free = min(free, limit - used + int(cache.get("inactive_file", 0)))
    return free / MIB
