"""What a strategy's code may not do while it is asked: touch what labels were read from or its study's evidence, change this program.

An audit hook (PEP 578) sees every file and folder that Python code opens, links, renames or removes. It stops a strategy that loads the
data set again, or reads the test labels and the other runs' purchases; it is no sandbox: code in another language, a thread or a process
of the strategy's own, and code that it leaves behind for later are not seen. What is refused is refused even where the strategy catches
the error. A program that is another afterwards than before (`runners.guard.program_state`) ends the run, too.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from protocol.errors import Fault
from runners.guard.program_state import Parts, changed, parts

_PATHS: Final = {
    **dict.fromkeys(
        (
            "open",
            "os.listdir",
            "os.scandir",
            "os.remove",
            "os.rmdir",
            "os.mkdir",
            "os.truncate",
            "os.chmod",
            "os.utime",
        ),
        1,
    ),
    **dict.fromkeys(("os.link", "os.rename", "os.symlink"), 2),
}
"""Audit events of files and folders, and how many of their arguments are paths."""
_READS: Final = "open"
_CODE: Final = (".py", ".pyc", ".so", ".pyd", ".dll", ".dylib")
_SYSTEM: Final = ("/proc/", "/sys/", "/dev/", "/etc/")
_MEMORY: Final = re.compile(r"/proc/[^/]+/(task/[^/]+/)?mem")
"""Of a process, the oracle's own among them."""
_MANY: Final = 1000
"""Files, beyond which the folders that hold them are kept instead."""


class _Watch(threading.local):
    """Of each thread: whether a strategy's code runs, and what it was refused."""

    def __init__(self) -> None:
        self.asked = False
        self.refused: list[str] = []


_watch = _Watch()
_installed: list[bool] = []
_seen: set[str] | None = None
_guarded: frozenset[str] = frozenset()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _PATHS or (_seen is None and not (_watch.asked and _guarded)):
        return
    for given in arguments[: _PATHS[event]]:
        given = "." if given is None else given
        if not isinstance(given, str | bytes | os.PathLike):
            continue  # a descriptor: what it belongs to was opened before
        name = os.fsdecode(given)
        path = os.path.realpath(name)
        if _seen is not None:
            if event == _READS:
                _seen.add(path)
        elif _MEMORY.fullmatch(path) or (
            not path.endswith(_CODE) and (_inside(path) or _from_a_folders_descriptor(name))
        ):
            _watch.refused.append(path)
            raise PermissionError(f"a strategy may not touch {path} while it is asked")


def _inside(path: str) -> bool:
    return any(path == place or path.startswith(place + os.sep) for place in _guarded)


def _from_a_folders_descriptor(name: str) -> bool:
    """Whether a name that leads nowhere from here leads to a guarded place from one of the folders above that (`dir_fd`)."""
    if os.path.isabs(name) or os.path.lexists(name):  # noqa: PTH117 - as the hook was given it
        return False
    above = {str(folder) for place in _guarded for folder in Path(place).parents}
    return any(_inside(os.path.normpath(os.path.join(folder, name))) for folder in above)  # noqa: PTH118


def _install() -> None:
    if not _installed:  # a hook stays for the life of the process
        sys.addaudithook(_hook)
        _installed.append(True)


@contextmanager
def opened() -> Iterator[set[str]]:
    """The files that are read meanwhile, by any thread: real paths, filled in at the end; neither code nor the system's own."""
    global _seen
    _install()
    files: set[str] = set()
    _seen = set()
    try:
        yield files
    finally:
        found, _seen = _seen, None
        packages = sysconfig.get_paths()["purelib"] + os.sep
        own = {p for p in found if os.path.isfile(p) and not p.endswith(_CODE) and not p.startswith(_SYSTEM)}  # noqa: PTH113
        own = {p for p in own if not p.startswith(packages) or "/data/" in p}  # of a package only what is data
        files |= own if len(own) <= _MANY else {os.path.dirname(p) for p in own}  # noqa: PTH120


@contextmanager
def guarding(files: Iterable[str], folders: Iterable[Path]) -> Iterator[None]:
    """Keep a strategy, while it is asked, from these files and from all that lies in these folders."""
    global _guarded
    _install()
    before, _guarded = _guarded, frozenset([*files, *(os.path.realpath(folder) for folder in folders)])
    try:
        yield
    finally:
        _guarded = before


@contextmanager
def asked(where: str) -> Iterator[None]:
    """A strategy's code runs meanwhile. Raises StrategyError if it tried to touch what it may not, or changed this program.

    Within another such block nothing more is looked at: the outer one tells.
    """
    if _watch.asked:
        yield
        return
    _watch.asked = True
    _watch.refused.clear()
    program = parts()
    try:
        yield
    finally:
        faults = [*_openings(where, _watch.refused), *_changes(where, program)]
        _watch.asked = False
        if faults:
            from runners.guard.errors import StrategyError  # brings torch, which the oracle's process does without

            raise StrategyError(faults) from None


@contextmanager
def between() -> Iterator[None]:
    """The program's own code runs meanwhile, within `asked`: what the strategy waits for, and what may open anything."""
    before, _watch.asked = _watch.asked, False
    try:
        yield
    finally:
        _watch.asked = before


def _openings(where: str, refused: list[str]) -> list[Fault]:
    expected, fix = "nothing but its view and what it brought along", "labels are bought, not read"
    return [Fault(where, expected, f"tried to open {path}", fix) for path in refused[:1]]


def _changes(where: str, before: Parts) -> list[Fault]:
    names = changed(before)
    fix = "start anew: this process is not what it was"
    return [Fault(where, "this program as it was", f"{', '.join(names[:3])} exchanged", fix)] if names else []
