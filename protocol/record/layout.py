"""Names of all files of a study, and atomic writes of files other than records."""

from __future__ import annotations

import io
import os
import re
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.digests import array_digest, canonical_json
from protocol.errors import Fault, InputError
from protocol.safe_read import LARGEST, holds_file, read_bytes, strange_entries
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from protocol.strict_json import loads as load_json

_LARGEST_PLAN: Final = 2**26
_MOST_LINKS: Final = 20
_DRAFT: Final = re.compile(r"\..+\.[a-z0-9_]{8}")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, fsync it, and rename it.

    Readers see the old file or the new one, never a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an .npz, compressed but for half-precision numbers; equal arrays give equal bytes.

    Compressing log-probabilities takes a fifth of a short run and saves a sixth of their bytes.
    """
    buffer = io.BytesIO()
    stored = {name: array for name, array in arrays.items() if array.dtype == np.float16}
    np.savez_compressed(buffer, allow_pickle=False, **{k: v for k, v in arrays.items() if k not in stored})
    with zipfile.ZipFile(buffer, "a") as file:
        for name, array in stored.items():
            with file.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())


def unfinished_files(folder: Path) -> list[Path]:
    """Return temporary files of `write_atomically`: being written, or left by a killed process.

    They are named `.<name>.<eight letters>`.
    """
    return sorted(p for p in folder.glob(".*") if _DRAFT.fullmatch(p.name) and p.is_file() and not p.is_symlink())


def clock(folder: Path) -> float:
    """Return seconds since the epoch by the clock that stamps the folder's files.

    The clock of a file server may be hours off from this machine's. It is read from a temporary file in the folder; if
    none can be made there, this machine's clock is used.
    """
    try:
        handle, probe = tempfile.mkstemp(dir=folder, prefix=".clock.")
        try:
            os.close(handle)
            os.utime(probe)
            return Path(probe).stat().st_mtime
        finally:
            Path(probe).unlink(missing_ok=True)
    except OSError:
        return time.time()


@dataclass(frozen=True)
class RunFolder:
    """`<study>/records/<protocol>/<strategy>/seed-<n>/`.

    Attributes:
        root: the study folder, below which no link is followed; None: the run's own folder.
    """

    path: Path
    root: Path | None = field(default=None, compare=False)

    @property
    def has_record(self) -> bool:
        """Return whether the record is a regular file that is reached without a link."""
        return holds_file(self.events, self.root or self.path)

    @property
    def events(self) -> Path:
        """Return the record."""
        return self.path / "events.jsonl"

    @property
    def lock(self) -> Path:
        """Return the file that the writing process locks."""
        return self.path / ".lock"

    @property
    def claims(self) -> Path:
        """Return the folder of machines' claims; see `protocol.record.machine_lock`."""
        return self.path / ".claims"

    @property
    def log(self) -> Path:
        """Return the file of what the run's process printed in all attempts; not evidence."""
        return self.path / "run.log"

    def checkpoint(self, round_: int) -> Path:
        """Return the file of the weights that a round ended with.

        It is removed when the next round ends, and is not evidence.
        """
        return self.path / f".checkpoint-{round_:03d}.npz"

    def checkpoints(self) -> list[Path]:
        """Return all checkpoints, half-written ones included."""
        return sorted(self.path.glob("*.checkpoint-*"))

    def predictions(self, round_: int) -> Path:
        """Return the sidecar of one round: an .npz in the order of the sorted test indices.

        Classification: `prediction`, classes; `log_probability` if probabilities were kept.
        Segmentation: `confusion`, counts of pixels (n, classes, classes), rows the true class. If maps were kept:
        `map`, predicted classes (p, height, width), and `place` (p,), positions of these test images, drawn by
        `protocol.draws.shown_maps`.
        """
        return self.path / "predictions" / f"round-{round_:03d}.npz"

    def write_sidecar(self, round_: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write the arrays from which the metrics of one round can be recomputed."""
        write_arrays(self.predictions(round_), arrays)

    def write_predictions(
        self, round_: int, predicted: NDArray[np.integer], log_probabilities: NDArray[np.float16] | None = None
    ) -> str:
        """Write the sidecar of a classification round; return the digest of the predictions."""
        arrays: dict[str, NDArray[Any]] = {"prediction": compact(predicted)}
        if log_probabilities is not None:
            arrays["log_probability"] = log_probabilities
        self.write_sidecar(round_, arrays)
        return predictions_digest(predicted)


def compact(counts: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the same non-negative numbers in the smallest integer type that holds them."""
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


def predictions_digest(predicted: NDArray[np.integer]) -> str:
    """Return the digest of predictions; it does not depend on their integer type."""
    return array_digest(predicted.astype(np.int64))


@dataclass(frozen=True)
class StudyFolder:
    """One study on disk: the resolved plan, shared split files, and one folder per run."""

    path: Path

    @property
    def plan(self) -> Path:
        """Return the resolved study."""
        return self.path / "study.json"

    @property
    def records(self) -> Path:
        """Return the folder of all runs."""
        return self.path / "records"

    @property
    def analysis(self) -> Path:
        """Return the folder of tables and figures, which can be rebuilt."""
        return self.path / "analysis"

    @property
    def report(self) -> Path:
        """Return the HTML report."""
        return self.path / "report.html"

    @property
    def pictures(self) -> Path:
        """Return the folder of pictures of queried images, which can be rebuilt.

        Pictures are named `<protocol>/<strategy>.png`; each has a caption (.txt).
        """
        return self.path / "pictures"

    @property
    def manifest(self) -> Path:
        """Return the file of the digests of all evidence, written by `beatrandom seal`."""
        return self.path / "manifest.json"

    @property
    def signature(self) -> Path:
        """Return the signature of the manifest, in the format of ssh-keygen."""
        return self.path / "manifest.json.sig"

    def split(self, digest: str, targets: str = "") -> Path:
        """Return the file of one split's indices and test labels, shared by runs with that seed.

        Args:
            targets: digest of the test labels, if another data set of the study has a split with the same indices.
        """
        return self.path / "splits" / (f"{digest[:32]}-{targets[:16]}.npz" if targets else f"{digest[:32]}.npz")

    def twins(self, digest: str) -> Path:
        """Return the file of duplicate images in the data set with this content digest."""
        return self.path / "data" / f"{digest[:32]}.npz"

    def units(self, digest: str) -> Path:
        """Return the file of units other than whole images; see `protocol.spec.units.Units`."""
        return self.path / "data" / f"units-{digest[:32]}.npz"

    def regions(self, key: str) -> Path:
        """Return the file of the superpixels of all training images; it is rebuilt if missing."""
        return self.path / "regions" / key[:32] / "places.npy"

    def pretrained(self, key: str) -> Path:
        """Return the folder of a pretrained body and its embeddings of all images.

        Runs with the same pool and recipe share it.
        """
        return self.path / "pretrained" / key[:32]

    @property
    def amendments(self) -> Path:
        """Return the file of earlier plans, one per line, each with the reason for its change."""
        return self.path / "amendments.jsonl"

    def run(self, run: RunId) -> RunFolder:
        """Return the folder of one run."""
        return RunFolder(self.records / str(run), self.path)

    def oracle(self, run: RunId) -> RunFolder:
        """Return the folder of a separate oracle's ledger of one run (`run --isolate`)."""
        return RunFolder(self.path / "oracle" / str(run), self.path)

    def source(self, strategy: str, digest: str) -> Path:
        """Return the copy of a user strategy's source, which is what is run."""
        return self.path / "strategies" / f"{strategy}-{digest[:16]}.py"

    def replays(self, run: RunId) -> Path:
        """Return the file of the outcomes of replaying one run (`replay --keep`)."""
        return self.path / "replays" / f"{run}.json"

    def read_plan(self) -> Study:
        """Read the study that this folder belongs to. Raises InputError if there is none."""
        try:
            text = self.read(self.plan, _LARGEST_PLAN)
        except OSError as error:
            absent = isinstance(error, FileNotFoundError | NotADirectoryError)
            found = "no study.json" if absent else f"study.json: {error.strerror or error}"
            fix = "give the folder that `beatrandom run` wrote"
            raise InputError(Fault(str(self.path), "a study folder (with study.json)", found, fix)) from None
        try:
            table = load_json(text)
        except ValueError as error:
            raise InputError(Fault(str(self.plan), "valid JSON", str(error), "restore it from a copy")) from None
        return parse(Study, table, str(self.plan))

    def read(self, path: Path, largest: int = LARGEST) -> bytes:
        """Read a file of the study; no link in the folder is followed. Raises OSError as `read_bytes`."""
        return read_bytes(path, largest, self.path)

    def holds(self, path: Path) -> bool:
        """Return whether a regular file is there, reached without a link."""
        return holds_file(path, self.path)

    def refuse_links(self, counts: Callable[[str], bool] = bool) -> None:
        """Check that the folder holds only files and folders, so that nothing is read or written elsewhere.

        Args:
            counts: whether a path relative to the folder matters; by default all do.

        Raises:
            InputError: that names the links, pipes and devices.
        """
        fix = "replace it by the file or folder that it stands for, or remove it; nothing was changed"
        found = strange_entries(self.path) if self.path.is_dir() else ()
        strange = sorted((path, what) for path, what in found if counts(path.relative_to(self.path).as_posix()))
        if strange:
            raise InputError([Fault(str(path), "a file or folder", what, fix) for path, what in strange[:_MOST_LINKS]])

    def adopt(self, study: Study) -> None:
        """Write the plan, or check that the folder belongs to it. Raises InputError if not."""
        if self.plan.exists():
            there = self.read_plan()
            if there.fingerprint != study.fingerprint:
                raise InputError(
                    Fault(
                        str(self.path),
                        f"a folder of this plan ({study.fingerprint[:12]}), or a new folder",
                        f"a folder of the plan {there.name} ({there.fingerprint[:12]})",
                        "choose another --out; nothing was changed",
                    )
                )
            return
        if self.path.exists() and any(self.path.iterdir()):
            raise InputError(
                Fault(
                    str(self.path),
                    "an empty or new folder, or a study folder",
                    "a folder with other files in it",
                    "choose another --out",
                )
            )
        write_atomically(self.plan, canonical_json(study.content()) + b"\n")
