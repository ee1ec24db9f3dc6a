"""Where the cache lies, what is in it, and how it is emptied.

`<cache>/<kind>/<digest of all inputs>/` holds one entry: its file, a card of the file (JSON), and what its makers lock.
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
from runners.caching.maker_lock import turn

CACHE_VARIABLE: Final = "BEATRANDOM_CACHE"
_EARLIER: Final = ("cifar10-jpeg-*.npy", "decoded-*.npy")
"""How versions before 0.2 named what they kept."""


def cache_folder() -> Path:
    """The folder that BEATRANDOM_CACHE names, else ~/.cache/beatrandom."""
    given = os.environ.get(CACHE_VARIABLE)
    return Path(given) if given else Path.home() / ".cache" / "beatrandom"


def entry_folder(kind: str, inputs: dict[str, Any]) -> Path:
    """Folder of the entry that was made from these inputs: JSON values that together decide every byte of it."""
    return cache_folder() / kind / fingerprint(f"beatrandom/cache/{kind}/1", inputs)[:32]


@dataclass(frozen=True)
class Kept:
    """One entry of the cache, or a file that an earlier version left there."""

    kind: str
    path: Path
    size: int
    """Bytes, half-written files of killed processes included."""
    idle: float
    """Seconds since it was last used."""

    def remove(self) -> bool:
        """Whether it was removed: an entry that a process is making stays. Who has it open keeps what it read."""
        if not self.path.is_dir():
            self.path.unlink(missing_ok=True)
            return True
        with turn(self.path) as ours:
            if ours:
                shutil.rmtree(self.path)
        return ours


def entries(cache: Path) -> Iterator[Kept]:
    """Everything in the cache, in the order of kinds and names; idle by the disk's own clock, as machines may share it."""
    now = clock(cache) if cache.is_dir() else 0.0
    for folder in sorted(p for p in cache.glob("*/*") if p.is_dir() and not p.is_symlink()):
        files = [p for p in folder.iterdir() if p.is_file() and p.name != ".lock"]
        used = max((p.stat().st_mtime for p in files), default=folder.stat().st_mtime)
        yield Kept(
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
        yield Kept("of earlier versions", path, path.stat().st_size, now - path.stat().st_mtime)
