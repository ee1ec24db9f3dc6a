"""What a strategy's code may not do while it is asked: open what labels were read from or its study's evidence, change this program.

An audit hook (PEP 578) sees every file and folder that Python code opens. It stops a strategy that loads the data set again, or
reads the test labels and the other runs' purchases; it is no sandbox: code in another language, a thread or a process of the
strategy's own are not seen. What is refused is refused even where the strategy catches the error. Functions and classes of this
program that are others afterwards than before end the run, too.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from protocol.errors import Fault

_EVENTS: Final = frozenset({"open", "os.listdir", "os.scandir"})
_CODE: Final = (".py", ".pyc", ".so", ".pyd", ".dll", ".dylib")
_SYSTEM: Final = ("/proc/", "/sys/", "/dev/", "/etc/")
_PROGRAM: Final = ("protocol", "runners")
_WRAPPERS: Final = (staticmethod, classmethod, property)
_MANY: Final = 1000
"""Files, beyond which the folders that hold them are kept instead."""


class _Watch(threading.local):
    """Of each thread: whether a strategy's code runs, and what it was refused."""

    asked = False
    refused: tuple[str, ...] = ()


_watch = _Watch()
_installed: list[bool] = []
_seen: set[str] | None = None
_guarded: frozenset[str] = frozenset()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _EVENTS or (_seen is None and not (_watch.asked and _guarded)):
        return
    given = arguments[0] if arguments[0] is not None else "."
    if not isinstance(given, str | bytes | os.PathLike):
        return  # a descriptor: what it belongs to was opened before
    path = os.path.realpath(os.fsdecode(given))
    if _seen is not None:
        _seen.add(path)
    elif not path.endswith(_CODE) and any(path == place or path.startswith(place + os.sep) for place in _guarded):
        _watch.refused = (*_watch.refused, path)
        raise PermissionError(f"a strategy may not open {path} while it is asked")


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
    """A strategy's code runs meanwhile. Raises StrategyError if it tried to open what it may not, or changed this program."""
    before, _watch.asked, _watch.refused = _watch.asked, True, ()
    program = _program()
    try:
        yield
    finally:
        _watch.asked = before
        refused, _watch.refused = _watch.refused, ()
        if faults := [*_openings(where, refused), *_changes(where, program)]:
            from runners.strategies.view import StrategyError  # brings torch, which the oracle's process does without

            raise StrategyError(faults) from None


def _openings(where: str, refused: tuple[str, ...]) -> list[Fault]:
    expected, fix = "nothing but its view and what it brought along", "labels are bought, not read"
    return [Fault(where, expected, f"tried to open {path}", fix) for path in refused[:1]]


def _changes(where: str, before: dict[str, int]) -> list[Fault]:
    after = _program()
    changed = sorted(name for name, code in before.items() if after.get(name) != code)
    fix = "start anew: this process is not what it was"
    return [Fault(where, "this program as it was", f"{', '.join(changed[:3])} exchanged", fix)] if changed else []


def _program() -> dict[str, int]:
    """Which code stands behind every function, class and method of this program's loaded modules."""
    found: dict[str, int] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in _PROGRAM:
            continue
        for key, value in list(vars(module).items()):
            if callable(value):
                found[f"{name}.{key}"] = _code(value)
            if isinstance(value, type) and value.__module__ == name:
                found |= {f"{name}.{key}.{k}": _code(v) for k, v in list(vars(value).items()) if callable(v) or isinstance(v, _WRAPPERS)}
    return found


def _code(value: Any) -> int:
    return id(getattr(getattr(value, "__func__", value), "__code__", value))
