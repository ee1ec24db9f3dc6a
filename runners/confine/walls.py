"""Walls around the process of a strategy: which it can have here, and how they are raised."""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from runners.confine import kernel

SHARED_MEMORY: Final = "/dev/shm"
TEMPORARY: Final = ("/tmp", "/var/tmp", SHARED_MEMORY)
_DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty")
_SCRATCH_MIB: Final = 4096


@dataclass(frozen=True)
class Walls:
    """Walls that stand around a process, as the record names them.

    Attributes:
        files: "landlock", or "none": the process can open what its user can open.
        network: "seccomp" (no sockets, no look into other processes), or "none".
        temporary: "empty" (folders in memory that end with the process), or "own folder" (removed after the round).
    """

    files: str = "none"
    network: str = "none"
    temporary: str = "own folder"

    def facts(self) -> dict[str, Any]:
        """Return the walls as the record keeps them."""
        return {"process": True, "files": self.files, "network": self.network, "temporary": self.temporary}


@dataclass(frozen=True)
class Ground:
    """Places that a strategy's process is kept from, and the one that it may change.

    Attributes:
        denied: files and folders that it may not open: data, study, cache, temporary folders.
        scratch: folder of its own, empty at first.
        code: folders in which the run looks for modules, besides Python's own.
    """

    denied: tuple[str, ...]
    scratch: str
    code: tuple[str, ...] = ()


def raise_walls(ground: Ground) -> Walls:
    """Confine this process, which must have one thread, for good; return which walls stand.

    A wall that the kernel does not offer is left out and named.
    """
    temporary, shared, code = "own folder", False, [*code_places(), *ground.code]
    denied = set(ground.denied)
    try:
        kernel.enter_own_mounts()
        kernel.mount_empty(ground.scratch, _SCRATCH_MIB)
        if os.path.isdir(SHARED_MEMORY):  # noqa: PTH112
            kernel.mount_empty(SHARED_MEMORY, _SCRATCH_MIB)
            shared = True
        temporary = "empty"
        denied -= set(_hidden(ground.denied, code))
    except OSError:
        pass
    os.environ.update(dict.fromkeys(("TMPDIR", "TMP", "TEMP", "HOME", "XDG_CACHE_HOME"), ground.scratch))
    tempfile.tempdir = None  # it was looked up before
    os.chdir(ground.scratch)
    files = network = "none"
    try:
        writable = writable_places(ground.scratch, shared=shared)
        kernel.restrict_files(readable_places(denied, code), writable, code)
        files = "landlock"
    except OSError:
        pass
    try:
        kernel.restrict_calls()
        kernel.drop_privileges()
        network = "seccomp"
    except OSError:
        pass
    return Walls(files, network, temporary)


def _hidden(denied: Iterable[str], code: Iterable[str]) -> Iterator[str]:
    """Hide data files among code, and yield them: hundreds of neighbours need not be allowed one by one then."""
    folders = tuple(os.path.realpath(folder) + os.sep for folder in code)
    for place in denied:
        if os.path.realpath(place).startswith(folders) and os.path.isfile(place):  # noqa: PTH113
            kernel.hide_file(os.path.realpath(place))
            yield place


def writable_places(scratch: str, *, shared: bool) -> list[str]:
    """Return what may be changed: the scratch folder, harmless devices, graphics cards, its own shared memory."""
    graphics = [str(p) for p in Path("/dev").glob("nvidia*")] if os.path.isdir("/dev") else []  # noqa: PTH112
    return [scratch, *(f"/dev/{name}" for name in _DEVICES), *graphics, *([SHARED_MEMORY] if shared else [])]


def readable_places(denied: Iterable[str], code: Iterable[str]) -> list[str]:
    """Return paths that together hold every file but the denied ones and those of `/dev` and temporary folders.

    Args:
        denied: see `Ground`.
        code: folders that are readable also below a denied one, but for denied files in them.
    """
    kept = {os.path.realpath(place) for place in (*denied, *TEMPORARY, "/dev")}
    places = list(_without(os.sep, kept))
    for folder in map(os.path.realpath, code):
        above = {place for place in kept if folder == place or folder.startswith(place + os.sep)}
        if above:
            places += _without(folder, kept - above)
    return places


@cache
def code_places() -> tuple[str, ...]:
    """Return the folders of Python, of its installed packages, and of this program."""
    paths = sysconfig.get_paths()
    program = Path(__file__).resolve().parents[2]
    found = [sys.prefix, sys.base_prefix, *(paths[k] for k in ("stdlib", "platstdlib", "purelib", "platlib"))]
    found += [str(program / room) for room in ("protocol", "runners", "analysis")]
    return tuple(sorted({os.path.realpath(folder) for folder in found}))


def _without(folder: str, denied: set[str]) -> Iterator[str]:
    """Yield the folder, or if a denied place is inside it, everything in it but that."""
    if folder in denied:
        return
    start = folder.rstrip(os.sep) + os.sep
    if not any(place.startswith(start) for place in denied):
        yield folder
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink():
            continue  # the place that it leads to is judged by itself
        yield from _without(entry.path, denied)
