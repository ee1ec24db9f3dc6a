"""Whose turn it is to make something in a folder: one process of all machines that share it."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from protocol.errors import RunLocked
from protocol.record.machine_lock import EXPIRY_SECONDS, claim_run, machine

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""What file systems without hard links answer to one; there the file lock alone must do."""


@contextmanager
def turn(folder: Path, waited: float = 0.0) -> Iterator[bool]:
    """Whether this process may make what belongs in the folder; asked once, without waiting.

    A file lock tells the processes of one machine apart, and is free at once when its holder is killed. A claim that is renewed
    every few seconds (`protocol.record.machine_lock`) tells machines apart, and expires when its holder's machine is gone. A holder of this
    machine that has shown no sign of life for as long (stopped, but not dead) is passed by as well: files are renamed into place
    whole, so that two makers cost time and nothing else.

    Args:
        folder: which is made if it is not there.
        waited: seconds that this process has been asking.

    Raises:
        OSError: nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        me = machine()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waited < EXPIRY_SECONDS:
                yield False
                return
            me = _stranger()
        except OSError:  # a network disk that knows no locks
            me = _stranger()
        with ExitStack() as claim:
            yield _is_ours(folder, me, claim)
    finally:
        os.close(lock)


def _stranger() -> str:
    """A name under which a claim of this very machine is not taken for a dead process's."""
    return f"{machine()}/{os.getpid()}/{threading.get_ident()}"


def _is_ours(folder: Path, me: str, claim: ExitStack) -> bool:
    try:
        claim.enter_context(claim_run(folder / ".claims", me))
    except RunLocked:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    return True
