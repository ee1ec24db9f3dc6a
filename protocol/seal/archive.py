"""Pack a sealed study into one file that is small enough to publish: the evidence and its manifest.

The file is a compressed tar. Equal studies give equal archives: names are sorted, times and owners are left out.
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
"""Largest unpacked size, in bytes."""
_MOST_FAULTS: Final = 20
"""Largest number of faults that are listed."""
_MOST_FILES: Final = 2**20


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
    if folder.signature.exists():
        names.append(folder.signature.name)
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:xz", format=tarfile.PAX_FORMAT, preset=9) as archive:
        for name in sorted(names, key=_by_kind):
            content = (folder.path / name).read_bytes()
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

    Raises:
        InputError: the file is not a packed study, is damaged, or differs from its manifest; or `into` is not empty.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise InputError(
            Fault(
                str(into),
                "a new or an empty folder",
                "a file or a folder with content",
                "use --out; nothing was overwritten",
            )
        )
    into.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(source, "r:xz") as archive:
            members, size = [], 0
            for member in archive:  # sizes are checked before anything is unpacked
                size += member.size
                members.append(member)
                if size > _LARGEST or len(members) > _MOST_FILES:
                    raise InputError(
                        Fault(
                            str(source),
                            f"at most {_MOST_FILES} files of {_LARGEST} bytes in all",
                            f"{len(members)} files of {size} bytes",
                        )
                    )
            _check_names(members, source)
            archive.extractall(into, members, filter="data")
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        found = f"{type(error).__name__}: {error}"
        raise InputError(
            Fault(str(source), "a study as `beatrandom pack` writes it", found, "get the file again")
        ) from None
    folder = StudyFolder(into)
    if changes := differences(read_manifest(folder), manifest_of(folder)):
        raise InputError(
            [
                *changes,
                Fault(
                    str(source),
                    "the study that its manifest describes",
                    f"{len(changes)} differences",
                    "get the file again",
                ),
            ]
        )
    return folder


def _check_names(members: list[tarfile.TarInfo], source: Path) -> None:
    """Refuse reports and replays: they would look sealed, though no manifest covers them."""
    seals = {StudyFolder(Path()).manifest.name, StudyFolder(Path()).signature.name}
    others = [m.name for m in members if m.name not in seals and not is_evidence(m.name)]
    if others:
        expected = "a study as `beatrandom pack` writes it: evidence, manifest and signature"
        raise InputError(
            [Fault(str(source), expected, name[:200], "get the file again") for name in others[:_MOST_FAULTS]]
        )


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
