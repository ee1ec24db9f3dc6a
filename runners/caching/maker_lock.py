"""Lock of a cache folder: at most one process makes its file, over all machines that share the disk."""

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
"""Errors of file systems without hard links. There the file lock alone is used."""


@contextmanager
def try_lock(folder: Path, waited: float = 0.0) -> Iterator[bool]:
    """Try once, without waiting, to become the maker of the folder's file; yield the success.

    A file lock excludes other processes of this machine and is released at once when its holder is killed. A claim
    that is renewed every few seconds (`protocol.record.machine_lock`) excludes other machines and expires when its
    holder's machine is gone. A holder on this machine that is stopped but not dead loses its lock after the same time:
    files are renamed into place whole, so two makers waste time but do no harm.

    Args:
        folder: created if missing.
        waited: seconds for which this process has been trying.

    Raises:
        OSError: the folder cannot be written.
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
            me = _unique_name()
        except OSError:  # a network disk without file locks
            me = _unique_name()
        with ExitStack() as claim:
            yield _is_ours(folder, me, claim)
    finally:
        os.close(lock)


def _unique_name() -> str:
    """Return a machine name for this thread alone.

    A claim under this machine's plain name would count as left by a dead process of it.
    """
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
