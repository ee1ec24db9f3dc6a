"""Bytes of files that somebody else handed in: a pipe in place of a file would never end, an endless file would fill the memory."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

LARGEST: Final = 2**30
"""Bytes of one file, unless told otherwise; a record of 10,000 rounds on a million images stays far below."""


def content(path: Path, largest: int = LARGEST) -> bytes:
    """All bytes of a regular file, or of one that a link leads to.

    Raises:
        OSError: it cannot be opened, is a folder, pipe or device, or has more than `largest` bytes.
    """
    with open(
        path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)
    ) as file:  # Path.open has no opener
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file but a pipe or device")
        if status.st_size > largest:
            raise OSError(errno.EFBIG, f"{status.st_size} bytes, of which at most {largest} are read")
        return file.read()
