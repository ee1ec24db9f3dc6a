"""One file, made by one process while all others that want it wait."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from protocol.errors import InputError
from runners.caching.maker_lock import turn

T = TypeVar("T")

_POLL_S: Final = 0.1
_QUIET_S: Final = 3.0
"""Seconds of waiting after which it is said."""


class Damaged(Exception):
    """Raised by a reader: this file is not what was written."""


def once(
    file: Path, make: Callable[[Path], None], read: Callable[[Path], T], finish: Callable[[Path], None] = lambda _: None
) -> T:
    """What `read` finds in the file; where it is missing or damaged, it is made first.

    A maker that is killed leaves a draft and no file, and the next one takes over.

    Args:
        file: in a folder of its own, which also holds the lock.
        make: writes a file of the name it is given, which is then synced and renamed.
        read: raises `Damaged` or InputError if the content is not what was written.
        finish: called with the file once it has its name.

    Raises:
        OSError: it is not there and nothing can be written; the caller does without.
    """
    began, said = time.monotonic(), False
    while True:
        found = there(file, read)
        if found is not None:
            return found
        with turn(file.parent, time.monotonic() - began) as ours:
            if ours:
                again = there(file, read)  # it may have been finished since
                return again if again is not None else _made(file, make, read, finish)
        if not said and time.monotonic() - began > _QUIET_S:
            said = True
            tell(f"{file.parent.parent.name}: waiting for another process that is making it ({file})")
        time.sleep(_POLL_S)


def tell(text: str) -> None:
    """Say something that is no result to whoever looks on."""
    print(f"beatrandom: {text}", file=sys.stderr, flush=True)


def there(file: Path, read: Callable[[Path], T]) -> T | None:
    """What `read` finds in the file; None where it is missing, or damaged, which is said. Nothing is written."""
    if not file.exists():
        return None
    try:
        return read(file)
    except (Damaged, InputError) as error:
        reason = error.faults[0].found if isinstance(error, InputError) else str(error)
        tell(f"{file} is damaged ({reason}) and is made again")
        return None


def _made(file: Path, make: Callable[[Path], None], read: Callable[[Path], T], finish: Callable[[Path], None]) -> T:
    handle, name = tempfile.mkstemp(
        dir=file.parent, prefix=f".{file.name}."
    )  # as `protocol.record.layout.abandoned` knows drafts
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
