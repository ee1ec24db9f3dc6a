"""Read files from other people safely.

A link in their folder may lead to any file of the reader; a pipe in place of a file would never end; an endless file
would fill the memory. Every reader of a study folder opens its files here.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Final

LARGEST: Final = 2**30
"""Default limit in bytes."""
LARGEST_RECORD: Final = 2**28
"""A record of 10,000 rounds on a million images stays far below."""
LINK: Final = "a link, which is not followed"
"""What an error says of a link."""

_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # O_NONBLOCK: a pipe returns at once
_FOLDER: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


def read_bytes(path: Path, largest: int = LARGEST, root: Path | None = None) -> bytes:
    """Read all bytes of a regular file; no link below `root` is followed.

    Args:
        path: the file.
        largest: limit in bytes.
        root: a folder that the user named; None: the file's own folder.

    Raises:
        OSError: the file cannot be opened, is a link, folder, pipe or device, lies outside `root`, or is too large.
    """
    with open_file(path, largest, root) as file:
        return file.read()


def read_named(path: Path, largest: int = LARGEST) -> bytes:
    """Read all bytes of a regular file that the user named, or of the file that this link leads to.

    Raises:
        OSError: as `read_bytes`.
    """
    with open_named(path, largest) as file:
        return file.read()


def open_file(path: Path, largest: int = LARGEST, root: Path | None = None) -> BufferedReader:
    """Open a regular file for reading; see `read_bytes`."""
    with open_folder(path.parent, path.parent if root is None else root) as folder:
        return _checked(_open(path.name, _FILE, folder), largest)


def open_named(path: Path, largest: int = LARGEST) -> BufferedReader:
    """Open a regular file that the user named, or that this link leads to; see `read_named`."""
    return _checked(os.open(path, _FILE & ~os.O_NOFOLLOW), largest)


@contextmanager
def open_folder(path: Path, root: Path) -> Iterator[int]:
    """Yield a descriptor of a folder that is reached from `root` without a link.

    Raises:
        OSError: there is no such folder, a link is in the way, or it lies outside `root`.
    """
    if not path.is_relative_to(root) or ".." in (parts := path.relative_to(root).parts):
        raise OSError(errno.EINVAL, f"a path outside {root}")
    here = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
    try:
        for part in parts:
            inner = _open(part, _FOLDER, here)
            os.close(here)
            here = inner
        yield here
    finally:
        os.close(here)


def holds_file(path: Path, root: Path) -> bool:
    """Return whether a regular file is there, reached from `root` without a link."""
    try:
        open_file(path, 2**63 - 1, root).close()
    except OSError:
        return False
    return True


def strange_entries(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield all that is neither file nor folder below a folder, and what it is; links are not entered."""
    waiting = [folder]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except FileNotFoundError:  # removed meanwhile
            continue
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry.path), LINK
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            elif not entry.is_file(follow_symlinks=False):
                yield Path(entry.path), "a pipe, socket or device"


def _open(name: str, flags: int, folder: int) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(name, folder):
            raise OSError(errno.ELOOP, LINK, name) from None
        if error.errno == errno.ENXIO:  # a socket
            raise OSError(errno.EINVAL, "not a regular file but a pipe or device", name) from None
        raise


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _checked(handle: int, largest: int) -> BufferedReader:
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file but a pipe or device")
        if status.st_size > largest:
            raise OSError(errno.EFBIG, f"{status.st_size} bytes, of which at most {largest} are read")
        return open(handle, "rb")
    except BaseException:
        os.close(handle)
        raise
