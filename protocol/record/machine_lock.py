"""Claims beside the file lock, for hosts that share a folder but not their locks.

`flock` holds between processes of one machine, and on network file systems only where the server passes it on. A claim is
a file that is made by exclusive creation and whose time is renewed while its owner lives. Claims are numbered: the highest
number holds the run, and taking an expired one means creating the next number, which only one contender can.

Ages are differences between times stamped by the file system itself, so that clocks of hosts may differ; and a claim that
looks expired is watched for a while before it is taken, so that a jump of the clock takes nothing from a living owner.
One from the future, left when the clock was set back, counts as expired: its owner renews it if it lives.
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

BEAT_SECONDS: Final = 10.0
EXPIRY_SECONDS: Final = 90.0
WATCH_SECONDS: Final = 25.0
"""More than two beats."""


def machine() -> str:
    """What tells machines apart: the kernel's boot, which containers of one machine share, as they share its locks."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


@contextmanager
def claim_run(
    folder: Path, me: str | None = None, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Callable[[], None]]:
    """Claim what the folder holds and renew the claim until the end; call it while holding the folder's file lock.

    A claim of this very machine is taken at once, since its lock is free and its owner therefore dead.

    Yields:
        a check that raises RunLocked if the claim was lost meanwhile (this machine slept, or lost the network).

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
        os.link(draft, mine)  # there at once with all its content, or not at all
    except FileExistsError:
        raise _held(folder, _owner(mine)) from None
    finally:
        draft.unlink(missing_ok=True)

    def check() -> None:
        if _highest(folder) != number + 1 or not mine.exists():
            raise _held(folder, _owner(folder / str(_highest(folder))))

    check()  # a latecomer may have made a number that was used up long ago
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
        with contextlib.suppress(OSError):  # an empty claim is a released one; if that cannot be written, it expires
            os.truncate(mine, 0)


def holder(folder: Path) -> str | None:
    """Host and process of another machine's living claim, or None; of this machine, the file lock knows better."""
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
    """Whether a claim was released, is of a dead process of this machine, or has expired."""
    owner = _owner(path)
    if not owner or owner.get("machine") == me:
        return True
    if not _expired(path):
        return False
    before = _stamp(path)
    sleep(WATCH_SECONDS)
    return _stamp(path) == before


def _expired(path: Path) -> bool:
    """Whether the claim was not renewed lately, or, by a clock that was set back, will be renewed only in future."""
    return abs(_age(path)) > EXPIRY_SECONDS


def _age(path: Path) -> float:
    """Seconds since the claim was renewed, by the file system's own clock; negative if that clock was set back since."""
    now = clock(path.parent)
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:  # taken by another contender meanwhile: for us it is as if it were renewed now
        return 0.0


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return time.time_ns()


def _owner(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _numbers(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if path.name.isdecimal()] if folder.is_dir() else []


def _highest(folder: Path) -> int:
    return max(_numbers(folder), default=0)


def _held(folder: Path, owner: dict[str, object]) -> RunLocked:
    who = f"{owner.get('host', 'another machine')}, process {owner.get('process', '?')}"
    fix = f"wait for it; if that machine is gone, its claim expires {EXPIRY_SECONDS:.0f} s after its last sign of life"
    return RunLocked(Fault(str(folder.parent), "no other machine on this run", who, fix))
