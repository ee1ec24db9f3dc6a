"""How much memory a worker takes and how much is left, on the machine or in the container this runs in."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

MIB = 2**20
CGROUP = Path("/sys/fs/cgroup")


def resident_mib(pid: int) -> float:
    """Resident memory of a process and everything it started, in MiB; 0 if it is gone. Shared pages count in each."""
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += each.memory_info().rss
    return total / MIB


def available_mib(cgroup: Path = CGROUP) -> float:
    """Memory that can still be taken, in MiB: the machine's, or less if the container's limit (cgroup v2) is nearer."""
    free = float(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):  # no container, no limit ("max"), or another cgroup version
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        cache = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        free = min(free, limit - used + int(cache.get("inactive_file", 0)))
    return free / MIB
