"""Location, contents and removal of cache entries.

`<cache>/<kind>/<digest of all inputs>/` holds one entry: its file, a card that describes the file (JSON), and a lock.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from protocol.digests import fingerprint
from protocol.record.layout import clock, unfinished_files
from runners.caching.maker_lock import try_lock

CACHE_VARIABLE: Final = "BEATRANDOM_CACHE"
_EARLIER: Final = ("cifar10-jpeg-*.npy", "decoded-*.npy")
"""File names of versions before 0.2."""


def cache_folder() -> Path:
    """Return the folder named by BEATRANDOM_CACHE, else ~/.cache/beatrandom."""
    variable = os.environ.get(CACHE_VARIABLE)
    return Path(variable) if variable else Path.home() / ".cache" / "beatrandom"


def entry_folder(kind: str, inputs: dict[str, Any]) -> Path:
    """Return the folder of the entry made from these inputs.

    Args:
        kind: name of the group of entries.
        inputs: JSON values that together determine every byte of the entry.
    """
    return cache_folder() / kind / fingerprint(f"beatrandom/cache/{kind}/1", inputs)[:32]


@dataclass(frozen=True)
class CacheEntry:
    """One entry of the cache, or a file left there by an earlier version."""

    kind: str
    path: Path
    size: int
    """Bytes, including half-written files of killed processes."""
    idle: float
    """Seconds since the entry was last used."""

    def remove(self) -> bool:
        """Remove the entry unless a process is making it, and return whether it was removed.

        Processes that have the file open can still read it.
        """
        if not self.path.is_dir():
            self.path.unlink(missing_ok=True)
            return True
        with try_lock(self.path) as ours:
            if ours:
                shutil.rmtree(self.path)
        return ours


def entries(cache: Path) -> Iterator[CacheEntry]:
    """Yield all entries, sorted by kind and name.

    Idle times are measured by the clock of the disk, because several machines may share it.
    """
    now = clock(cache) if cache.is_dir() else 0.0
    for folder in sorted(p for p in cache.glob("*/*") if p.is_dir() and not p.is_symlink()):
        files = [p for p in folder.iterdir() if p.is_file() and p.name != ".lock"]
        used = max((p.stat().st_mtime for p in files), default=folder.stat().st_mtime)
        yield CacheEntry(
            folder.parent.name if files else "begun and not finished",
            folder,
            sum(p.stat().st_size for p in files),
            now - used,
        )
    left = [
        *(p for pattern in _EARLIER for p in cache.glob(pattern)),
        *(unfinished_files(cache) if cache.is_dir() else ()),
    ]
    for path in sorted(p for p in left if p.is_file()):
        yield CacheEntry("of earlier versions", path, path.stat().st_size, now - path.stat().st_mtime)
