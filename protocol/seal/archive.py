"""A sealed study as one file, small enough to publish: what `seal` calls evidence, and the manifest.

A compressed tar. Equal studies give equal archives, whoever packs them when: names are sorted, times and owners left out.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from protocol.errors import Fault, InputError
from protocol.record.layout import StudyFolder, write_atomically
from protocol.seal.manifest import differences, evidence_files, is_evidence, manifest_of, read_manifest

SUFFIX: Final = ".tar.xz"
_LARGEST: Final = 2**34
"""Bytes that an archive may unpack to."""
_TOLD: Final = 20
"""Faults, at most."""
_MOST: Final = 2**20
"""Files in it."""


def is_archive(path: Path) -> bool:
    """Whether a path is named like a packed study and is a file."""
    return path.name.endswith(SUFFIX) and path.is_file()


def pack(folder: StudyFolder, target: Path) -> None:
    """Write the archive of a sealed study.

    Raises:
        InputError: not sealed, changed since it was sealed, or another file is in the way.
    """
    manifest = read_manifest(folder)
    if changes := differences(manifest, manifest_of(folder)):
        raise InputError(
            [
                *changes,
                Fault(str(folder.path), "the study as it was sealed", "another", "seal it as it is now, then pack"),
            ]
        )
    names = [*evidence_files(folder), folder.manifest.name]
    if folder.signature.exists():
        names.append(folder.signature.name)
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:xz", format=tarfile.PAX_FORMAT, preset=9) as archive:
        for name in sorted(names, key=_beside_its_like):
            content = (folder.path / name).read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    if target.exists() and target.read_bytes() != body.getvalue():
        raise InputError(
            Fault(str(target), "no file, or this very archive", "another file", "move it away or use --out")
        )
    write_atomically(target, body.getvalue())


def _beside_its_like(name: str) -> tuple[str, str]:
    """Files of one kind next to each other: records repeat each other, and the compressor remembers only so far."""
    return Path(name).name, name


def unpack(source: Path, into: Path) -> StudyFolder:
    """Restore the study folder and compare it with its manifest.

    Raises:
        InputError: not a packed study, damaged, not what its manifest says, or `into` holds something already.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise InputError(
            Fault(str(into), "a new or an empty folder", "something in it", "use --out; nothing was overwritten")
        )
    into.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(source, "r:xz") as archive:
            members, size = [], 0
            for member in archive:  # one after the other: what claims too much is not unpacked to be measured
                size += member.size
                members.append(member)
                if size > _LARGEST or len(members) > _MOST:
                    raise InputError(Fault(str(source), f"at most {_MOST} files of {_LARGEST} bytes in all", "more"))
            _refuse_what_no_seal_covers(members, source)
            archive.extractall(into, members, filter="data")
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        found = f"{type(error).__name__}: {error}"
        raise InputError(
            Fault(str(source), "a study as `beatrandom pack` writes it", found, "get the file again")
        ) from None
    folder = StudyFolder(into)
    if changes := differences(read_manifest(folder), manifest_of(folder)):
        raise InputError(
            [*changes, Fault(str(source), "the study that its manifest describes", "another", "get the file again")]
        )
    return folder


def _refuse_what_no_seal_covers(members: list[tarfile.TarInfo], source: Path) -> None:
    """A report or a replay beside the evidence would look as sealed as that, and be anybody's."""
    seals = {StudyFolder(Path()).manifest.name, StudyFolder(Path()).signature.name}
    others = [m.name for m in members if m.name not in seals and not is_evidence(m.name)]
    if others:
        expected = "a study as `beatrandom pack` writes it: evidence, manifest and signature"
        raise InputError([Fault(str(source), expected, name[:200], "get the file again") for name in others[:_TOLD]])


@contextmanager
def open_study(path: Path) -> Iterator[Path]:
    """A study folder as it is; a packed one unpacked for as long as it is looked at. Raises InputError as `unpack`."""
    if not is_archive(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="beatrandom-") as scratch:
        yield unpack(path, Path(scratch) / path.name.removesuffix(SUFFIX)).path


def default_target(folder: StudyFolder) -> Path:
    """Beside the folder, with its name."""
    whole = folder.path.resolve()
    return whole.with_name(whole.name + SUFFIX)
