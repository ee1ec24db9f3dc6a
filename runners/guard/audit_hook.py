"""Audit hook that restricts a strategy's code.

It keeps the code from label files, from the study's evidence, and from changing this program. An audit hook (PEP 578)
sees every file and folder that Python code opens, links, renames or removes. It stops a strategy that loads the data
set again, or that reads the test labels or the queries of other runs. It is not a security sandbox: it does not see
code in another language, threads or processes that the strategy starts, or code that runs later. A refused access
fails the run even if the strategy catches the error. A change of the program (`runners.guard.program_state`) also
ends the run.
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
from runners.guard.program_state import Parts, changed_names, snapshot

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
"""Audit events of files and folders, with the number of their leading arguments that are paths."""
_READS: Final = "open"
_CODE: Final = (".py", ".pyc", ".so", ".pyd", ".dll", ".dylib")
_SYSTEM: Final = ("/proc/", "/sys/", "/dev/", "/etc/")
_MEMORY: Final = re.compile(r"/proc/[^/]+/(task/[^/]+/)?mem")
"""Memory of any process, including the oracle process."""
_MANY: Final = 1000
"""Above this number of files, their folders are guarded instead."""


class _Watch(threading.local):
    """State per thread: whether strategy code is running, and which paths it was refused."""

    def __init__(self) -> None:
        self.active = False
        self.refused: list[str] = []


_watch = _Watch()
_installed: list[bool] = []
_seen: set[str] | None = None
_guarded: frozenset[str] = frozenset()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _PATHS or (_seen is None and not (_watch.active and _guarded)):
        return
    for argument in arguments[: _PATHS[event]]:
        argument = "." if argument is None else argument
        if not isinstance(argument, str | bytes | os.PathLike):
            continue  # a descriptor: its file was checked when it was opened
        name = os.fsdecode(argument)
        path = os.path.realpath(name)
        if _seen is not None:
            if event == _READS:
                _seen.add(path)
        elif _MEMORY.fullmatch(path) or (not path.endswith(_CODE) and (_inside(path) or _inside_by_descriptor(name))):
            _watch.refused.append(path)
            raise PermissionError(f"a strategy may not access {path}")


def _inside(path: str) -> bool:
    return any(path == place or path.startswith(place + os.sep) for place in _guarded)


def _inside_by_descriptor(name: str) -> bool:
    """Return whether a missing relative name may be a guarded path opened through `dir_fd`.

    The hook does not see the descriptor, so the name is tried against every parent folder of the guarded paths.
    """
    if os.path.isabs(name) or os.path.lexists(name):  # noqa: PTH117 - the name as the hook received it
        return False
    above = {str(folder) for place in _guarded for folder in Path(place).parents}
    return any(_inside(os.path.normpath(os.path.join(folder, name))) for folder in above)  # noqa: PTH118


def _install() -> None:
    if not _installed:  # a hook stays for the life of the process
        sys.addaudithook(_hook)
        _installed.append(True)


@contextmanager
def record_opened_files() -> Iterator[set[str]]:
    """Yield a set that receives, at the end of the context, all files that were opened in it.

    Files are real paths, opened by any thread.

    Code files, system files and installed packages (except their data) are left out. Beyond 1,000 files the set holds
    their folders instead.
    """
    global _seen
    _install()
    files: set[str] = set()
    _seen = set()
    try:
        yield files
    finally:
        seen, _seen = _seen, None
        packages = sysconfig.get_paths()["purelib"] + os.sep
        data = {p for p in seen if os.path.isfile(p) and not p.endswith(_CODE) and not p.startswith(_SYSTEM)}  # noqa: PTH113
        data = {p for p in data if not p.startswith(packages) or "/data/" in p}
        files |= data if len(data) <= _MANY else {os.path.dirname(p) for p in data}  # noqa: PTH120


@contextmanager
def guard_files(files: Iterable[str], folders: Iterable[Path]) -> Iterator[None]:
    """Deny strategy code access to these files and to everything in these folders.

    The denial holds within `strategy_sandbox`.
    """
    global _guarded
    _install()
    before, _guarded = _guarded, frozenset([*files, *(os.path.realpath(folder) for folder in folders)])
    try:
        yield
    finally:
        _guarded = before


@contextmanager
def strategy_sandbox(where: str) -> Iterator[None]:
    """Run strategy code under the audit hook. A nested sandbox does nothing: the outer one checks.

    Args:
        where: location named in the error, e.g. "strategy entropy, round 2".

    Raises:
        StrategyError: the code tried to access guarded files, or changed program state.
    """
    if _watch.active:
        yield
        return
    _watch.active = True
    _watch.refused.clear()
    program = snapshot()
    try:
        yield
    finally:
        faults = [*_openings(where, _watch.refused), *_changes(where, program)]
        _watch.active = False
        if faults:
            from runners.guard.errors import StrategyError  # the oracle process loads no more than it needs

            raise StrategyError(faults) from None


@contextmanager
def outside_sandbox() -> Iterator[None]:
    """Run the program's own code on behalf of a strategy, within `strategy_sandbox`, without restrictions."""
    before, _watch.active = _watch.active, False
    try:
        yield
    finally:
        _watch.active = before


def _openings(where: str, refused: list[str]) -> list[Fault]:
    expected, fix = "access to its view and its own files only", "query labels instead of reading them"
    return [Fault(where, expected, f"tried to open {path}", fix) for path in refused[:1]]


def _changes(where: str, before: Parts) -> list[Fault]:
    names = changed_names(before)
    fix = "start a new process: this one has been modified"
    return [Fault(where, "an unchanged program", f"{', '.join(names[:3])} replaced", fix)] if names else []
