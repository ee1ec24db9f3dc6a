"""What lies beside the records of a study, read only as far as its digests are the recorded ones."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.digests import array_digest
from protocol.draws.splits import Split
from protocol.errors import Fault
from protocol.record.layout import StudyFolder
from protocol.safe_read import content
from protocol.spec.protocol import Protocol
from protocol.spec.units import Units

_LARGEST_SIDECAR: Final = 2**31
"""Bytes unpacked; what claims more is refused rather than allocated."""
_SPLITS_KEPT: Final = 4
"""Runs come grouped by seed, so few splits are in use at a time."""


@dataclass(frozen=True)
class SplitEvidence:
    """A split's sidecar: its arrays, or why they cannot be believed (`altered`: its content is not what the digest says)."""

    split: Split | None = None
    targets: NDArray[np.int64] | None = None
    problem: Fault | None = None
    altered: bool = False

    @cached_property
    def pool(self) -> frozenset[int]:
        return frozenset(self.split.pool.tolist()) if self.split else frozenset()

    @cached_property
    def validation(self) -> frozenset[int]:
        return frozenset(self.split.validation.tolist()) if self.split else frozenset()


@dataclass
class SplitShelf:
    """Reads split sidecars, each once while it is in use."""

    folder: StudyFolder
    _kept: OrderedDict[tuple[str, str], SplitEvidence] = field(default_factory=OrderedDict)
    _protocol: tuple[Protocol, str] | None = None
    _twins: dict[tuple[str, str], dict[str, NDArray[np.int64]] | Fault] = field(default_factory=dict)
    _units: dict[str, Units | Fault] = field(default_factory=dict)

    def twins(self, data: str, digest: str) -> dict[str, NDArray[np.int64]] | Fault:
        """Which images of the data set look alike, if the sidecar is the one with this digest."""
        if (data, digest) not in self._twins:
            self._twins = {(data, digest): _read_twins(self.folder, data, digest)}
        return self._twins[data, digest]

    def units(self, digest: str) -> Units | Fault:
        """What can be bought, if the sidecar is the one with this digest."""
        if digest not in self._units:
            self._units = {digest: _read_units(self.folder, digest)}
        return self._units[digest]

    def fingerprint(self, protocol: Protocol) -> str:
        """Fingerprint of a protocol; that of the last one is kept, since nearly all runs tell the same."""
        if self._protocol is None or self._protocol[0] != protocol:
            self._protocol = (protocol, protocol.fingerprint)
        return self._protocol[1]

    def get(self, digest: str, targets: str) -> SplitEvidence:
        """The split that a record calls `digest`, with test labels of digest `targets`."""
        if (digest, targets) not in self._kept:
            self._kept[digest, targets] = _read_split(self.folder, digest, targets)
            while len(self._kept) > _SPLITS_KEPT:
                self._kept.popitem(last=False)
        return self._kept[digest, targets]


def _read_split(folder: StudyFolder, digest: str, targets: str) -> SplitEvidence:
    if not re.fullmatch(r"[0-9a-f]{64}", digest):  # a digest out of a record is a file name only if it is a digest
        return SplitEvidence(problem=Fault("split", "a SHA-256 digest", repr(digest[:80])), altered=True)
    path = folder.split(digest)
    if re.fullmatch(r"[0-9a-f]{64}", targets) and os.path.exists(folder.split(digest, targets)):  # noqa: PTH110 - as in `_read_record`
        path = folder.split(digest, targets)
    name = str(path.relative_to(folder.path))
    arrays = read_integers(path, ("pool", "validation", "test", "targets"), name)
    if isinstance(arrays, Fault):
        return SplitEvidence(problem=arrays)
    split = Split(arrays["pool"], arrays["validation"], arrays["test"])
    for what, expected, found in (
        ("indices", digest, split.digest),
        ("test labels", targets, array_digest(arrays["targets"])),
    ):
        if expected != found:
            return SplitEvidence(problem=Fault(name, f"{what} with digest {expected[:16]}", found[:16]), altered=True)
    return SplitEvidence(split, arrays["targets"])


def _read_twins(folder: StudyFolder, data: str, digest: str) -> dict[str, NDArray[np.int64]] | Fault:
    if not re.fullmatch(r"[0-9a-f]{64}", data):
        return Fault("data", "a SHA-256 digest", repr(data[:80]))
    path = folder.twins(data)
    name = str(path.relative_to(folder.path))
    arrays = read_integers(path, ("content", "look"), name)
    if isinstance(arrays, Fault):
        return arrays
    found = array_digest(arrays["content"], arrays["look"])
    return arrays if found == digest else Fault(name, f"groups with digest {digest[:16]}", found[:16])


def _read_units(folder: StudyFolder, digest: str) -> Units | Fault:
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        return Fault("units", "a SHA-256 digest", repr(digest[:80]))
    path = folder.units(digest)
    name = str(path.relative_to(folder.path))
    arrays = read_integers(path, ("first", "pixels", "maps"), name)
    if isinstance(arrays, Fault):
        return arrays
    try:
        units = Units.read(arrays)
    except ValueError as error:
        return Fault(name, "units of images", str(error))
    return units if units.digest == digest else Fault(name, f"units with digest {digest[:16]}", units.digest[:16])


def read_integers(path: Path, keys: tuple[str, ...], name: str) -> dict[str, NDArray[np.int64]] | Fault:
    """One-dimensional integer arrays of an .npz as int64, or the fault that says why not; never raises."""
    arrays = read_arrays(path, keys, name)
    if isinstance(arrays, Fault):
        return arrays
    wrong = [k for k, a in arrays.items() if not isinstance(a, np.ndarray) or a.ndim != 1 or a.dtype.kind not in "iu"]
    if wrong:
        return Fault(name, "one-dimensional arrays of integers", f"something else in {', '.join(wrong)}")
    return {key: array.astype(np.int64) for key, array in arrays.items()}


def read_arrays(path: Path, keys: tuple[str, ...], name: str) -> dict[str, Any] | Fault:
    """Members of an .npz, or the fault that says why not; never raises."""
    try:
        with zipfile.ZipFile(
            io.BytesIO(content(path, _LARGEST_SIDECAR))
        ) as archive:  # at once: sidecars are small and many
            if sum(member.file_size for member in archive.infolist()) > _LARGEST_SIDECAR:
                return Fault(name, f"a sidecar of at most {_LARGEST_SIDECAR} bytes", "one that claims more")
            arrays: dict[str, Any] = {}
            for key in keys:
                with archive.open(f"{key}.npy") as member:
                    arrays[key] = np.lib.format.read_array(member, allow_pickle=False)
            return arrays
    except FileNotFoundError:
        return Fault(name, "a sidecar file", "no such file")
    except OSError as error:
        return Fault(name, "a readable sidecar file", error.strerror or str(error))
    except Exception as error:  # crafted bytes make zipfile, zlib and numpy raise almost anything
        return Fault(name, f"a readable .npz with {', '.join(keys)}", f"{type(error).__name__}: {error}"[:200])
