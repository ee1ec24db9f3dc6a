"""`pack` and `unpack`: a sealed study as one small file, and back."""

from __future__ import annotations

from pathlib import Path

from protocol.record.layout import StudyFolder
from protocol.seal.archive import SUFFIX, default_target
from protocol.seal.archive import pack as write_archive
from protocol.seal.archive import unpack as restore
from runners.terminal.console import console


def pack(folder: Path, out: Path | None) -> None:
    """See `beatrandom pack --help`."""
    study = StudyFolder(folder)
    target = out or default_target(study)
    write_archive(study, target)
    megabytes = target.stat().st_size / 1e6
    console.print(f"{target}: {megabytes:.1f} MB. `beatrandom check` and the notebooks read this file.", soft_wrap=True)


def unpack(archive: Path, out: Path | None) -> None:
    """See `beatrandom unpack --help`."""
    folder = restore(archive, out or Path(archive.name.removesuffix(SUFFIX)))
    console.print(f"{folder.path}: restored; it matches its manifest.", soft_wrap=True)
