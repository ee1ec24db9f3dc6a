"""Read the members of a packed study that may have been made to harm its reader.

A file of a few hundred kB can hold gigabytes of zeros, links to other files, or names outside its folder. So members
are counted, named and measured before anything is written, in bounds that packed studies never reach.
"""

from __future__ import annotations

import io
import lzma
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from protocol.errors import Fault, InputError
from protocol.record.layout import StudyFolder
from protocol.safe_read import open_named
from protocol.seal.manifest import LARGEST_MANIFEST, Manifest, is_evidence, parse_manifest

LARGEST_FILE: Final = 2**33
"""Bytes of an archive."""
LARGEST: Final = 2**34
"""Bytes of its content."""
FREE: Final = 2**25
"""Bytes of content that any archive may have."""
RATIO: Final = 50
"""Above `FREE`, largest number of bytes per byte of the archive; packed studies have 2 to 10."""
MEMORY: Final = 2**27
"""Bytes that the decompressor may take: those that the strongest preset of xz needs, and some more."""
MOST_FILES: Final = 2**20
_MOST_FAULTS: Final = 20
_BLOCK: Final = 2**20
"""Largest number of bytes that is read at once; tarfile reads headers of extended attributes in one piece."""
_PIECE: Final = 2**16
_SEALS: Final = (StudyFolder(Path()).manifest.name, StudyFolder(Path()).signature.name)


class _Unpacked(io.RawIOBase):
    """Decompressed bytes of an archive: forward only, up to a limit, in bounded memory.

    `lzma.LZMAFile` would let each block of the file ask for a dictionary of gigabytes.
    """

    def __init__(self, source: io.BufferedReader, most: int) -> None:
        self._source, self._most, self._place = source, most, 0
        self._decompressor = _decompressor()

    def read(self, size: int = -1) -> bytes:
        """Read at most `_BLOCK` bytes. Raises ValueError past the limit, or for more at once."""
        if not 0 <= size <= _BLOCK:
            raise ValueError(f"a header of {size} bytes")
        parts, left = [], size
        while left and (part := self._next(left)) is not None:
            parts.append(part)
            left -= len(part)
        self._place += size - left
        self._check(self._place)
        return b"".join(parts)

    def _next(self, size: int) -> bytes | None:
        """Return at most so many bytes; None at the end of the file."""
        data = b""
        if self._decompressor.eof:
            data = self._decompressor.unused_data or self._source.read(_PIECE)
            if not data:
                return None
            self._decompressor = _decompressor()
        elif self._decompressor.needs_input and not (data := self._source.read(_PIECE)):
            raise EOFError("the file ends before its content")
        return self._decompressor.decompress(data, size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move forward. Raises ValueError past the limit, before anything is decompressed."""
        if whence or offset < self._place:
            raise ValueError("members that do not follow one another")
        self._check(offset)
        while self._place < offset and self.read(min(_BLOCK, offset - self._place)):
            pass
        return self._place

    def tell(self) -> int:
        """Return the position in the decompressed bytes."""
        return self._place

    def _check(self, place: int) -> None:
        if place > self._most:
            raise ValueError(f"more than {self._most} bytes unpacked, the most for an archive of this size")


def _decompressor() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    with open_named(source, LARGEST_FILE) as file:
        most = min(LARGEST, FREE + RATIO * os.fstat(file.fileno()).st_size)
        with tarfile.open(fileobj=_Unpacked(file, most), mode="r:") as archive:
            yield archive


def read_members(source: Path) -> Manifest:
    """Check the names, kinds and number of all members against the manifest among them, and return it.

    Raises:
        InputError: they are not those of a packed study, with every fault up to a number.
        TarError, LZMAError, EOFError, ValueError: the file is damaged, or more is in it than a packed study has.
    """
    content, faults = b"", []
    names, folded = set[str](), set[str]()
    with _opened(source) as archive:
        for count, member in enumerate(archive, start=1):
            if count > MOST_FILES:
                raise ValueError(f"more than {MOST_FILES} files")
            if problem := _problem(member, folded):
                faults.append(problem)
                if len(faults) == _MOST_FAULTS:
                    break
            elif member.name == _SEALS[0]:
                if member.size > LARGEST_MANIFEST:
                    raise ValueError(f"a manifest of {member.size} bytes")
                content = b"".join(_blocks(archive, member))
            names.add(member.name)
            folded.add(member.name.casefold())
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps them all; missing in the stubs
    expected, fix = "a study as `beatrandom pack` writes it: evidence, manifest and signature", "get the file again"
    if faults:
        raise InputError([Fault(str(source), expected, found[:300], fix) for found in faults])
    if not content:
        raise InputError(Fault(str(source), expected, f"no {_SEALS[0]}", fix))
    manifest = parse_manifest(content, f"{source}: {_SEALS[0]}")
    absent, more = manifest.files.keys() - names, names - manifest.files.keys() - set(_SEALS)
    faults = [f"no {name}, which the manifest lists" for name in sorted(absent)]
    faults += [f"{name}, which the manifest does not list" for name in sorted(more)]
    if faults:
        raise InputError([Fault(str(source), expected, found[:300], fix) for found in faults[:_MOST_FAULTS]])
    return manifest


def _problem(member: tarfile.TarInfo, earlier: set[str]) -> str:
    """Return what is wrong with one member, or nothing."""
    name, path = member.name, PurePosixPath(member.name)
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
        return f"{name!r}, which is a {'link' if member.issym() or member.islnk() else 'special file or folder'}"
    if path.is_absolute() or ".." in path.parts or str(path) != name or not name.isprintable() or "\\" in name:
        return f"the name {name!r}, which is no plain path inside the folder"
    if name.casefold() in earlier:  # one file on some systems
        return f"{name} twice, in upper or lower case"
    return "" if name in _SEALS or is_evidence(name) else name


def write_members(source: Path, folder: Path) -> None:
    """Write the members of an archive whose names `read_members` has checked.

    Raises:
        TarError, LZMAError, EOFError, ValueError: the file is damaged or was exchanged meanwhile.
        OSError: a file cannot be written, for example because another is in the way of its folder.
    """
    folder.mkdir(parents=True)
    with _opened(source) as archive:
        for member in archive:
            if problem := _problem(member, set()):
                raise ValueError(f"another archive than was checked: {problem}")
            target = folder / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                for block in _blocks(archive, member):
                    file.write(block)
            archive.members.clear()  # type: ignore[attr-defined]  # missing in the stubs


def _blocks(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    """Yield the content of a member. Raises EOFError if the archive ends before it."""
    archive.fileobj.seek(member.offset_data)
    left = member.size
    while left:
        block = archive.fileobj.read(min(left, _BLOCK))
        if not block:
            raise EOFError(f"{member.name}: {left} of {member.size} bytes are missing")
        left -= len(block)
        yield block
