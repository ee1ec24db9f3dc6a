"""Pack a sealed study into one file that is small enough to publish: the evidence and its manifest.

The file is a compressed tar. Equal studies give equal archives: names are sorted, times and owners are left out.
"""

from __future__ import annotations

import io
import lzma
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from protocol.errors import Fault, InputError
from protocol.record.layout import StudyFolder, write_atomically
from protocol.seal.manifest import differences, evidence_files, manifest_of, read_manifest
from protocol.seal.members import read_members, write_members

SUFFIX: Final = ".tar.xz"


def is_archive(path: Path) -> bool:
    """Return whether a path is a file that is named like a packed study."""
    return path.name.endswith(SUFFIX) and path.is_file()


def pack(folder: StudyFolder, target: Path) -> None:
    """Write the archive of a sealed study.

    Raises:
        InputError: the study is not sealed or has changed since, or another file exists at `target`.
    """
    manifest = read_manifest(folder)
    if changes := differences(manifest, manifest_of(folder)):
        raise InputError(
            [
                *changes,
                Fault(
                    str(folder.path),
                    "the study as it was sealed",
                    f"{len(changes)} changes",
                    "seal it again, then pack",
                ),
            ]
        )
    names = [*evidence_files(folder), folder.manifest.name]
    if folder.holds(folder.signature):
        names.append(folder.signature.name)
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:xz", format=tarfile.PAX_FORMAT, preset=9) as archive:
        for name in sorted(names, key=_by_kind):
            content = folder.read(folder.path / name)
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    if target.exists() and target.read_bytes() != body.getvalue():
        raise InputError(
            Fault(str(target), "no file, or the same archive", "a file with other content", "move it away or use --out")
        )
    write_atomically(target, body.getvalue())


def _by_kind(name: str) -> tuple[str, str]:
    """Sort files of one kind together: similar files near each other compress better."""
    return Path(name).name, name


def unpack(source: Path, into: Path) -> StudyFolder:
    """Restore the study folder and compare it with its manifest.

    Names and sizes are compared first, while nothing is written. Then the files are unpacked beside `into`, and the
    folder is renamed when all agree. A refused archive leaves nothing behind.

    Raises:
        InputError: the file is not a packed study, is damaged, or differs from its manifest; or `into` is not empty.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        fix = "use --out; nothing was overwritten"
        raise InputError(Fault(str(into), "a new or an empty folder", "a file or a folder with content", fix))
    try:
        manifest = read_members(source)
        beside = next(parent for parent in into.absolute().parents if parent.is_dir())
        with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=beside) as scratch:
            folder = StudyFolder(Path(scratch) / "study")
            write_members(source, folder.path)
            if changes := differences(manifest, manifest_of(folder)):
                found, fix = f"{len(changes)} differences", "get the file again"
                raise InputError([*changes, Fault(str(source), "the study that its manifest describes", found, fix)])
            into.parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder.path, into)
    except (tarfile.TarError, lzma.LZMAError, EOFError, ValueError) as error:
        found = f"{type(error).__name__}: {error}"
        expected = "a study as `beatrandom pack` writes it"
        raise InputError(Fault(str(source), expected, found[:200], "get the file again")) from None
    return StudyFolder(into)


@contextmanager
def open_study(path: Path) -> Iterator[Path]:
    """Yield a study's folder; a packed study is unpacked for that time.

    Raises:
        InputError: as `unpack`.
    """
    if not is_archive(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="beatrandom-") as scratch:
        yield unpack(path, Path(scratch) / path.name.removesuffix(SUFFIX)).path


def default_target(folder: StudyFolder) -> Path:
    """Return the archive's default path: next to the folder, with its name."""
    whole = folder.path.resolve()
    return whole.with_name(whole.name + SUFFIX)
