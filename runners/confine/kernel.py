"""The kernel's own means to confine a process: Landlock, seccomp, namespaces, process control.

Thin calls by ctypes, for Linux on x86-64 and 64-bit ARM. Elsewhere `landlock_version` is 0 and the others refuse.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable
from typing import Final

_LINUX: Final = sys.platform == "linux"
_MACHINE: Final = platform.machine()
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if _LINUX else None

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same number on every machine
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _SET_CHILD_SUBREAPER, _SET_PDEATHSIG, _SET_DUMPABLE = 38, 22, 36, 1, 4

_EXECUTE, _WRITE, _READ, _READ_DIR = 1, 2, 4, 8
_READING: Final = _EXECUTE | _READ | _READ_DIR
_EVER: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Rights that Landlock handles since a version: all of version 1, renaming across folders, truncating, ioctl."""
_TRUNCATE, _IOCTL = 1 << 14, 1 << 15
_OF_FILES: Final = _EXECUTE | _WRITE | _READ | _TRUNCATE | _IOCTL
_TCP: Final = 3
"""Binding and connecting, since version 4."""
_SCOPES: Final = 3
"""Abstract sockets and signals outside, since version 6."""

NEW_USER, NEW_MOUNTS = 0x10000000, 0x00020000
_MS_PRIVATE, _MS_REC, _MS_BIND, _MS_NOSUID, _MS_NODEV = 1 << 18, 1 << 14, 1 << 12, 2, 4

_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_DENIED_CALLS: Final[dict[str, tuple[int, int]]] = {
    # name: number on x86-64, on 64-bit ARM
    "socket": (41, 198),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "setns": (308, 268),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
}
_CAPSET: Final = {"x86_64": 126, "aarch64": 91}
_CAPABILITIES_3: Final = 0x20080522
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000  # the refusal is EPERM
_X32: Final = 0x40000000


class WallError(OSError):
    """The kernel does not offer a means, or refuses it."""


def _call(*arguments: int | bytes | None) -> int:
    if _LIBC is None:
        raise WallError("not Linux")
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result: int = _LIBC.syscall(*given)
    if result < 0:
        code = ctypes.get_errno()
        raise WallError(code, os.strerror(code))
    return result


def _prctl(*arguments: int | bytes | None) -> None:
    if _LIBC is None:
        raise WallError("not Linux")
    padded = [*arguments, *[0] * (5 - len(arguments))]
    if _LIBC.prctl(*[ctypes.c_ulong(a) if isinstance(a, int) else a for a in padded]) < 0:
        code = ctypes.get_errno()
        raise WallError(code, os.strerror(code))


def landlock_version() -> int:
    """Return the version of Landlock that the kernel offers; 0: none."""
    try:
        return _call(_CREATE, None, 0, 1)
    except WallError:
        return 0


def restrict_files(readable: Iterable[str], writable: Iterable[str], listable: Iterable[str] = ()) -> None:
    """Deny this process and its children all files and folders but these, for good.

    Where the kernel can, also TCP, abstract sockets, and signals to processes outside.

    Args:
        readable: paths that may be read and executed, with everything below them.
        writable: paths that may be changed, too.
        listable: folders of which the names may be read, with all below them, as Python's import does.

    Raises:
        WallError: the kernel offers no Landlock, or refuses.
    """
    version = landlock_version()
    if not version:
        raise WallError("no Landlock")
    rights = max(value for since, value in _EVER.items() if since <= version)
    parts = [rights, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0]
    attributes = struct.pack("<QQQ", *parts)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = _call(_CREATE, attributes, len(attributes), 0)
    try:
        for paths, allowed in ((readable, _READING), (writable, rights), (listable, _READ_DIR)):
            for path in paths:
                _allow(rules, path, allowed & rights)
        _prctl(_NO_NEW_PRIVILEGES, 1)
        _call(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no permission
    try:
        if not os.path.isdir(path):  # noqa: PTH112
            rights &= _OF_FILES
        _call(_ADD, rules, 1, struct.pack("<Qi", rights, place), 0)
    finally:
        os.close(place)


def restrict_calls() -> None:
    """Deny sockets, looking into other processes, keys, shared segments, mounting and the like, for good.

    Raises:
        WallError: the machine or the kernel offers no filter of system calls.
    """
    if _MACHINE not in _ARCHITECTURES or not _LINUX:
        raise WallError(f"no filter for {_MACHINE}")
    numbers = [pair[0 if _MACHINE == "x86_64" else 1] for pair in _DENIED_CALLS.values()]
    program = [(0x20, 0, 0, 4), (0x15, 1, 0, _ARCHITECTURES[_MACHINE]), (0x06, 0, 0, _KILL), (0x20, 0, 0, 0)]
    if _MACHINE == "x86_64":
        program += [(0x35, 0, 1, _X32), (0x06, 0, 0, _REFUSE)]
    for at, number in enumerate(numbers):
        program.append((0x15, len(numbers) - at, 0, number))
    program += [(0x06, 0, 0, _ALLOW), (0x06, 0, 0, _REFUSE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in program))
    head = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(code)))
    _prctl(_NO_NEW_PRIVILEGES, 1)
    _prctl(_SET_SECCOMP, 2, ctypes.addressof(head))


def enter_own_mounts() -> None:
    """Give this process, which must have one thread, a view of its own of what is mounted.

    Raises:
        WallError: the kernel does not allow it.
    """
    flags, user, group = NEW_MOUNTS, os.geteuid(), os.getegid()
    if user != 0:
        flags |= NEW_USER
    if _LIBC is None or _LIBC.unshare(flags) < 0:
        raise WallError(ctypes.get_errno(), "unshare")
    if flags & NEW_USER:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE, "")


def hide_file(path: str) -> None:
    """Make a file empty for this process and its children only. Raises WallError."""
    _mount("/dev/null", path, "", _MS_BIND, "")


def mount_empty(path: str, mebibytes: int) -> None:
    """Mount an empty folder in memory over a path, for this process and its children only. Raises WallError."""
    _mount("tmpfs", path, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={mebibytes}m,mode=0700")


def _mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    if _LIBC is None:
        raise WallError("not Linux")
    given = (source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), options.encode() or None)
    if _LIBC.mount(*given) < 0:
        code = ctypes.get_errno()
        raise WallError(code, os.strerror(code))


def drop_privileges() -> None:
    """Give up every capability, also root's, for this process and its children. Raises WallError."""
    header, none = struct.pack("<Ii", _CAPABILITIES_3, 0), bytes(24)
    _call(_CAPSET[_MACHINE], header, none)


def adopt_orphans() -> None:
    """Make this process the parent of all its descendants whose parents end. Does nothing outside Linux."""
    if _LINUX:
        _prctl(_SET_CHILD_SUBREAPER, 1)


def end_with(parent: int, signal_number: int) -> None:
    """Ask the system to send this process a signal when its parent ends; at once if it has ended already."""
    if _LINUX:
        _prctl(_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal_number)
