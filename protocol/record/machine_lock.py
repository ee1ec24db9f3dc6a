"""Claims in addition to the file lock, for machines that share a folder but not their locks.

`flock` works between processes of one machine, and on network file systems only if the server supports it. A claim is a
file that is created exclusively and whose modification time its owner renews. Claims are numbered: the highest number
holds the run. Taking an expired claim means creating the next number, which only one contender can do.

Ages are differences between times stamped by the file system itself, so clocks of machines may differ. A claim that
looks expired is watched for a while before it is taken, so that a jump of the clock takes nothing from a living owner.
A claim from the future, left when the clock was set back, counts as expired: a living owner will renew it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from protocol.errors import Fault, RunLocked
from protocol.record.layout import clock
from protocol.safe_read import read_bytes

BEAT_SECONDS: Final = 10.0
EXPIRY_SECONDS: Final = 90.0
WATCH_SECONDS: Final = 25.0
"""More than two beats."""


def machine() -> str:
    """Return the id of the kernel's boot, which containers of one machine share, like its locks."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


@contextmanager
def claim_run(
    folder: Path, me: str | None = None, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Callable[[], None]]:
    """Claim the run and renew the claim until the end. Call it while holding the run's file lock.

    An earlier claim of this machine is taken at once: the lock is free, so its owner is dead.

    Yields:
        A check that raises RunLocked if the claim was lost meanwhile (this machine slept, or lost the network).

    Raises:
        RunLocked: another machine holds a living claim.
    """
    me = me or machine()
    folder.mkdir(parents=True, exist_ok=True)
    number = _highest(folder)
    if number and not _free(folder / str(number), me, sleep):
        raise _held(folder, _owner(folder / str(number)))
    mine = folder / str(number + 1)
    text = json.dumps({"machine": me, "host": socket.gethostname(), "process": os.getpid(), "claim": uuid.uuid4().hex})
    draft = folder / f"draft-{uuid.uuid4().hex}"
    draft.write_text(text, encoding="utf-8")
    try:
        os.link(draft, mine)  # appears with its content, or not at all
    except FileExistsError:
        raise _held(folder, _owner(mine)) from None
    finally:
        draft.unlink(missing_ok=True)

    def check() -> None:
        if _highest(folder) != number + 1 or not mine.exists():
            raise _held(folder, _owner(folder / str(_highest(folder))))

    check()  # a slow contender may have created a number that is no longer the highest
    ended = threading.Event()
    beat = threading.Thread(target=_renew, args=(mine, ended), daemon=True)
    beat.start()
    try:
        for old in _numbers(folder):
            if old <= number:
                (folder / str(old)).unlink(missing_ok=True)
        yield check
    finally:
        ended.set()
        with contextlib.suppress(OSError):  # an empty claim is released; if that cannot be written, it expires
            os.truncate(mine, 0)


def holder(folder: Path) -> str | None:
    """Return host and process of another machine's living claim, or `None`.

    Claims of this machine are not reported: its file lock tells.
    """
    path = folder / str(_highest(folder))
    owner = _owner(path)
    if not owner or owner.get("machine") == machine() or _expired(path):
        return None
    return f"{owner.get('host')}, process {owner.get('process')}"


def _renew(mine: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        with contextlib.suppress(OSError):
            os.utime(mine)


def _free(path: Path, me: str, sleep: Callable[[float], None]) -> bool:
    """Return whether a claim was released, is a dead process's of this machine, or has expired."""
    owner = _owner(path)
    if not owner or owner.get("machine") == me:
        return True
    if not _expired(path):
        return False
    before = _stamp(path)
    sleep(WATCH_SECONDS)
    return _stamp(path) == before


def _expired(path: Path) -> bool:
    """Return whether the claim's heartbeat is older than EXPIRY_SECONDS.

    A heartbeat as far in the future, after a clock change, counts as well.
    """
    return abs(_age(path)) > EXPIRY_SECONDS


def _age(path: Path) -> float:
    """Return seconds since the last heartbeat by the file system's clock; may be negative."""
    now = clock(path.parent)
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:  # another contender took it: count it as renewed now
        return 0.0


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return time.time_ns()


def _owner(path: Path) -> dict[str, object]:
    try:
        owner = json.loads(read_bytes(path, 2**16))
    except (OSError, ValueError, RecursionError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _numbers(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if path.name.isdecimal()] if folder.is_dir() else []


def _highest(folder: Path) -> int:
    return max(_numbers(folder), default=0)


def _held(folder: Path, owner: dict[str, object]) -> RunLocked:
    who = f"{owner.get('host', 'another machine')}, process {owner.get('process', '?')}"
    fix = f"wait for it; if that machine is gone, its claim expires {EXPIRY_SECONDS:.0f} s after its last heartbeat"
    return RunLocked(Fault(str(folder.parent), "no other machine on this run", who, fix))
