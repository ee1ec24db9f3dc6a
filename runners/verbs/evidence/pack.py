"""`pack` and `unpack`: a sealed study as one small file, and back."""

from __future__ import annotations

from pathlib import Path

from protocol.record.layout import StudyFolder
from protocol.seal.archive import SUFFIX, default_target
from protocol.seal.archive import pack as write
from protocol.seal.archive import unpack as restore
from runners.verbs.shared.console import console


def pack(path: Path, out: Path | None) -> None:
    """See `beatrandom pack --help`."""
    folder = StudyFolder(path)
    target = out or default_target(folder)
    write(folder, target)
    console.print(
        f"{target}: {target.stat().st_size / 1e6:.1f} MB. `beatrandom check` and the notebooks read it as it is.",
        soft_wrap=True,
    )


def unpack(source: Path, out: Path | None) -> None:
    """See `beatrandom unpack --help`."""
    folder = restore(source, out or Path(source.name.removesuffix(SUFFIX)))
    console.print(f"{folder.path}: as its manifest says.", soft_wrap=True)
