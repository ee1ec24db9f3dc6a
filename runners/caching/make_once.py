"""Files that are made by one process while all others that need them wait."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from protocol.errors import InputError
from runners.caching.maker_lock import try_lock
from runners.machine.progress_lines import print_notice

T = TypeVar("T")

_POLL_S: Final = 0.1
_QUIET_S: Final = 3.0
"""Seconds of waiting after which a notice is printed."""


class Damaged(Exception):
    """Raised by a reader if a file differs from what was written."""


def get_or_make(
    file: Path, make: Callable[[Path], None], read: Callable[[Path], T], finish: Callable[[Path], None] = lambda _: None
) -> T:
    """Return what `read` returns for the file, which is made first if it is missing or damaged.

    A maker that is killed leaves a draft and no file, and the next process takes over.

    Args:
        file: in a folder of its own, which also holds the lock.
        make: writes the file under the name passed to it; the file is then synced and renamed.
        read: raises `Damaged` or InputError if the content differs from what was written.
        finish: called with the file after it was renamed.

    Raises:
        OSError: the file does not exist and cannot be written.
    """
    began, notified = time.monotonic(), False
    while True:
        content = read_if_valid(file, read)
        if content is not None:
            return content
        with try_lock(file.parent, time.monotonic() - began) as ours:
            if ours:
                again = read_if_valid(file, read)  # another process may have finished it meanwhile
                return again if again is not None else _made(file, make, read, finish)
        if not notified and time.monotonic() - began > _QUIET_S:
            notified = True
            print_notice(f"{file.parent.parent.name}: waiting for another process that is making it ({file})")
        time.sleep(_POLL_S)


def read_if_valid(file: Path, read: Callable[[Path], T]) -> T | None:
    """Return what `read` returns for the file, or None if it is missing or damaged.

    Damage is printed as a notice.
    """
    if not file.exists():
        return None
    try:
        return read(file)
    except (Damaged, InputError) as error:
        reason = error.faults[0].found if isinstance(error, InputError) else str(error)
        print_notice(f"{file} is damaged ({reason}) and is made again")
        return None


def _made(file: Path, make: Callable[[Path], None], read: Callable[[Path], T], finish: Callable[[Path], None]) -> T:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # the pattern of drafts that `gc` removes
    os.close(handle)
    draft = Path(name)
    try:
        make(draft)
        with draft.open("rb+") as written:
            os.fsync(written.fileno())
        draft.chmod(0o644)
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    finish(file)
    return read(file)
