"""Sidecars of a study's records: split, predictions, units and twins.

They are used only if their digests match.
"""

from __future__ import annotations

import io
import math
import os
import re
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.digests import array_digest
from protocol.draws.splits import Split
from protocol.errors import Fault
from protocol.record.layout import StudyFolder
from protocol.safe_read import open_file
from protocol.spec.cards import SplitCard
from protocol.spec.protocol import Protocol
from protocol.spec.units import Units

BUDGET: Final = 2**30
"""Bytes of memory that one sidecar may take; a file that claims more is refused, not allocated."""
_FREE: Final = 2**27
_RATIO: Final = 300
"""Above `_FREE` bytes of memory, at most so many per byte of the file: measured results are never that empty."""
_LARGEST_HEADER: Final = 2**14
_SLACK: Final = 4
_FEW: Final = 2**16
"""Arrays up to `_SLACK` times and `_FEW` numbers above the size that the record tells are read and judged by a rule."""
_SPLITS_KEPT: Final = 4
"""Runs come grouped by seed, so few splits are in use at a time."""


@dataclass(frozen=True)
class SplitEvidence:
    """Sidecar of a split: its arrays, or why they cannot be used.

    `altered` means that its digest does not match.
    """

    split: Split | None = None
    targets: NDArray[np.int64] | None = None
    problem: Fault | None = None
    altered: bool = False

    @property
    def indices(self) -> Split | Fault:
        """Return the indices of pool, validation and test, or why they are not known."""
        return self.split or self.problem or Fault("split", "a split", "none recorded")

    @cached_property
    def pool(self) -> frozenset[int]:
        """Return the indices of the pool; empty if they are not known."""
        return frozenset(self.split.pool.tolist()) if self.split else frozenset()

    @cached_property
    def validation(self) -> frozenset[int]:
        """Return the indices of the validation images; empty if they are not known."""
        return frozenset(self.split.validation.tolist()) if self.split else frozenset()


@dataclass
class SidecarCache:
    """Reads sidecars that runs share, each once while it is in use."""

    folder: StudyFolder
    _splits: OrderedDict[tuple[SplitCard, int], SplitEvidence] = field(default_factory=OrderedDict)
    _protocol: tuple[Protocol, str] | None = None
    _twins: dict[tuple[str, str], dict[str, NDArray[np.int64]] | Fault] = field(default_factory=dict)
    _units: dict[str, Units | Fault] = field(default_factory=dict)

    def twins(self, data: str, digest: str, images: int) -> dict[str, NDArray[np.int64]] | Fault:
        """Return which of so many images of the data set look alike, if the sidecar has this digest."""
        if (data, digest) not in self._twins:
            self._twins = {(data, digest): _read_twins(self.folder, data, digest, images)}
        return self._twins[data, digest]

    def units(self, digest: str, images: int) -> Units | Fault:
        """Return what can be bought of so many images, if the sidecar has this digest."""
        if digest not in self._units:
            self._units = {digest: _read_units(self.folder, digest, images)}
        return self._units[digest]

    def fingerprint(self, protocol: Protocol) -> str:
        """Return the protocol's fingerprint.

        The last one is cached, since nearly all runs record the same protocol.
        """
        if self._protocol is None or self._protocol[0] != protocol:
            self._protocol = (protocol, protocol.fingerprint)
        return self._protocol[1]

    def split(self, card: SplitCard, classes: int) -> SplitEvidence:
        """Return the split that a record names, with its test labels.

        Args:
            card: digests and sizes according to the record.
            classes: number of classes; in segmentation, each test image has a number of pixels per class.
        """
        key = (card, classes)
        if key not in self._splits:
            self._splits[key] = _read_split(self.folder, card, classes)
            while len(self._splits) > _SPLITS_KEPT:
                self._splits.popitem(last=False)
        return self._splits[key]


def _is_digest(text: str) -> bool:
    """Return whether a text out of a record is a SHA-256 digest; nothing else may become a file name."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def _read_split(folder: StudyFolder, card: SplitCard, classes: int) -> SplitEvidence:
    digest, targets = card.digest, card.targets
    if not _is_digest(digest):
        return SplitEvidence(problem=Fault("split", "a SHA-256 digest", repr(digest[:80])), altered=True)
    path = folder.split(digest)
    if _is_digest(targets) and os.path.exists(folder.split(digest, targets)):  # noqa: PTH110 - as in `_read_record`
        path = folder.split(digest, targets)
    name = str(path.relative_to(folder.path))
    sizes = {"pool": card.pool, "validation": card.validation, "test": card.test}
    arrays = read_integers(path, {**sizes, "targets": card.test * max(classes, 1)}, name, folder.path)
    if isinstance(arrays, Fault):
        return SplitEvidence(problem=arrays)
    split = Split(arrays["pool"], arrays["validation"], arrays["test"])
    for what, expected, actual in (
        ("indices", digest, split.digest),
        ("test labels", targets, array_digest(arrays["targets"])),
    ):
        if expected != actual:
            return SplitEvidence(problem=Fault(name, f"{what} with digest {expected[:16]}", actual[:16]), altered=True)
    return SplitEvidence(split, arrays["targets"])


def _read_twins(folder: StudyFolder, data: str, digest: str, images: int) -> dict[str, NDArray[np.int64]] | Fault:
    if not _is_digest(data):
        return Fault("data", "a SHA-256 digest", repr(data[:80]))
    path = folder.twins(data)
    name = str(path.relative_to(folder.path))
    arrays = read_integers(path, {"content": images, "look": images}, name, folder.path)
    if isinstance(arrays, Fault):
        return arrays
    actual = array_digest(arrays["content"], arrays["look"])
    return arrays if actual == digest else Fault(name, f"groups with digest {digest[:16]}", actual[:16])


def _read_units(folder: StudyFolder, digest: str, images: int) -> Units | Fault:
    if not _is_digest(digest):
        return Fault("units", "a SHA-256 digest", repr(digest[:80]))
    path = folder.units(digest)
    name = str(path.relative_to(folder.path))
    arrays = read_integers(path, {"first": images + 1, "pixels": None, "maps": None}, name, folder.path)
    if isinstance(arrays, Fault):
        return arrays
    try:
        units = Units.read(arrays)
    except ValueError as error:
        return Fault(name, "units of images", str(error))
    return units if units.digest == digest else Fault(name, f"units with digest {digest[:16]}", units.digest[:16])


def read_integers(
    path: Path, sizes: Mapping[str, int | None], name: str, root: Path | None = None
) -> dict[str, NDArray[np.int64]] | Fault:
    """Read one-dimensional integer arrays of an .npz as int64, or return the fault; never raise.

    Args:
        path: the file.
        sizes: for each array, the number of elements that the record tells; None: it does not tell.
        name: of the file, for the fault.
        root: the study folder; see `read_bytes`.
    """
    arrays = read_arrays(path, sizes, name, root, widest=8)
    if isinstance(arrays, Fault):
        return arrays
    wrong = [k for k, a in arrays.items() if not isinstance(a, np.ndarray) or a.ndim != 1 or a.dtype.kind not in "iu"]
    if wrong:
        return Fault(name, "one-dimensional arrays of integers", "; ".join(f"{k}: {form(arrays[k])}" for k in wrong))
    return {key: array.astype(np.int64) for key, array in arrays.items()}


def form(value: object) -> str:
    """Return type and shape of what a sidecar holds, for a fault."""
    return f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def read_arrays(
    path: Path, sizes: Mapping[str, int | None], name: str, root: Path | None = None, *, widest: int = 1
) -> dict[str, Any] | Fault:
    """Read members of an .npz, or return the fault that says why not; never raises.

    The shape that each member states is compared with `sizes` before it is decompressed.

    Args:
        path, sizes, name, root: as for `read_integers`.
        widest: bytes of an element after a conversion by the caller.
    """
    try:
        with open_file(path, BUDGET, root) as file, zipfile.ZipFile(file) as archive:
            headers = {}
            for key in sizes:
                with archive.open(f"{key}.npy") as member:
                    headers[key] = _header(member)
            if fault := _too_large(headers, sizes, name, os.fstat(file.fileno()).st_size, widest):
                return fault
            arrays: dict[str, Any] = {}
            for key in sizes:
                with archive.open(f"{key}.npy") as member:
                    arrays[key] = np.lib.format.read_array(member, allow_pickle=False)
            return arrays
    except FileNotFoundError:
        return Fault(name, "a sidecar file", "no such file")
    except OSError as error:
        return Fault(name, "a readable sidecar file", error.strerror or str(error))
    except Exception as error:  # crafted bytes make zipfile, zlib and numpy raise almost anything
        return Fault(name, f"a readable .npz with {', '.join(sizes)}", f"{type(error).__name__}: {error}"[:200])


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type that an .npy member states."""
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(member)
    if version not in read:
        raise ValueError(f"version {version} of the format .npy")
    width = 2 if version == (1, 0) else 4
    length = member.read(width)
    if (size := int.from_bytes(length, "little")) > _LARGEST_HEADER:
        raise ValueError(f"a header of {size} bytes")
    shape, _, dtype = read[version](io.BytesIO(length + member.read(size)))
    return shape, dtype


def _too_large(
    headers: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]],
    sizes: Mapping[str, int | None],
    name: str,
    compressed: int,
    widest: int,
) -> Fault | None:
    """Return the fault if arrays are much larger than the record says, or than the budget of memory."""
    total = 0
    for key, (shape, dtype) in headers.items():
        size, told = math.prod(shape), sizes[key]
        if told is not None and size > max(told, 0) * _SLACK + _FEW:
            return Fault(name, f"{key} of {told} numbers, as the record says", f"{dtype} of shape {shape}")
        total += size * max(dtype.itemsize, widest)
    most = min(BUDGET, _FREE + _RATIO * compressed)
    return Fault(name, f"a sidecar of at most {most} bytes in memory", f"{total} bytes") if total > most else None
