"""Which files this process opens: those that labels were read from are kept out of a strategy's reach."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_READS: Final = "open"
_CODE: Final = (".py", ".pyc", ".so", ".pyd", ".dll", ".dylib")
_SYSTEM: Final = ("/proc/", "/sys/", "/dev/", "/etc/")
_MANY: Final = 1000
"""Above this number of files, their folders are named instead."""

_installed: list[bool] = []
_seen: set[str] | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == _READS and _seen is not None and isinstance(arguments[0], str | bytes | os.PathLike):
        _seen.add(os.path.realpath(os.fsdecode(arguments[0])))


@contextmanager
def record_opened_files() -> Iterator[set[str]]:
    """Yield a set that receives, at the end of the context, all files that were opened in it.

    Files are real paths, opened by any thread. Code files, system files and installed packages (except their data) are
    left out. Beyond 1,000 files the set holds their folders instead.
    """
    global _seen
    if not _installed:  # a hook stays for the life of the process
        sys.addaudithook(_hook)
        _installed.append(True)
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
