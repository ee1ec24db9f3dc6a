"""Every file name of a study, in one place, and the only way files other than records are written."""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.digests import array_digest, canonical_json
from protocol.errors import Fault, InputError
from protocol.safe_read import read_bytes
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.toml_files import parse

_DRAFT: Final = re.compile(r"\..+\.[a-z0-9_]{8}")


def write_atomically(path: Path, data: bytes) -> None:
    """Temporary name, fsync, rename: a reader sees the old file or the new one, never half of one."""
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
    """A compressed .npz with equal bytes for equal arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **dict(arrays))
    write_atomically(path, buffer.getvalue())


def unfinished_files(folder: Path) -> list[Path]:
    """What `write_atomically` had not renamed yet when it was killed, or is writing now: `.<name>.<eight letters>`, sorted."""
    return sorted(p for p in folder.glob(".*") if _DRAFT.fullmatch(p.name) and p.is_file() and not p.is_symlink())


def clock(folder: Path) -> float:
    """Seconds since the epoch, by the clock that stamps the folder's files: that of a file server may be hours from this machine's.

    Read off a file made there for the purpose; where none can be made, this machine's.
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
    """`<study>/records/<protocol>/<strategy>/seed-<n>/`."""

    path: Path

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    @property
    def claims(self) -> Path:
        """Claims of machines that do not share file locks; see `protocol.record.machine_lock`."""
        return self.path / ".claims"

    @property
    def log(self) -> Path:
        """What the run's process printed, attempt after attempt; not evidence."""
        return self.path / "run.log"

    def checkpoint(self, round_: int) -> Path:
        """Weights that a round ended with, while the run is under way and the next round starts from them; not evidence."""
        return self.path / f".checkpoint-{round_:03d}.npz"

    def checkpoints(self) -> list[Path]:
        """All that are there, half written ones included."""
        return sorted(self.path.glob("*.checkpoint-*"))

    def predictions(self, round_: int) -> Path:
        """Sidecar of one round, in the order of the sorted test indices.

        Classification: `prediction`, classes; `log_probability`, if any were kept. Segmentation: `confusion`, counts of pixels
        (n, classes, classes), rows the true class; `map`, predicted classes (p, height, width) of the test images whose `place`
        (p,) in that order `protocol.draws.shown_maps` draws, if any were kept.
        """
        return self.path / "predictions" / f"round-{round_:03d}.npz"

    def write_sidecar(self, round_: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write what the metrics of one round can be computed from again."""
        write_arrays(self.predictions(round_), arrays)

    def write_predictions(
        self, round_: int, predicted: NDArray[np.integer], log_probabilities: NDArray[np.float16] | None = None
    ) -> str:
        """Write the sidecar compactly; returns the digest of the predictions."""
        arrays: dict[str, NDArray[Any]] = {"prediction": compact(predicted)}
        if log_probabilities is not None:
            arrays["log_probability"] = log_probabilities
        self.write_sidecar(round_, arrays)
        return predictions_digest(predicted)


def compact(counts: NDArray[np.integer]) -> NDArray[np.integer]:
    """The same numbers, none negative, in the smallest type that holds them."""
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


def predictions_digest(predicted: NDArray[np.integer]) -> str:
    """Digest of predictions whatever integer type holds them."""
    return array_digest(predicted.astype(np.int64))


@dataclass(frozen=True)
class StudyFolder:
    """One study on disk: the resolved plan, shared split files, and a folder a run."""

    path: Path

    @property
    def plan(self) -> Path:
        return self.path / "study.json"

    @property
    def records(self) -> Path:
        return self.path / "records"

    @property
    def analysis(self) -> Path:
        """Derived tables and figures; can be rebuilt."""
        return self.path / "analysis"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def pictures(self) -> Path:
        """Pictures of what was bought, `<protocol>/<strategy>.png` or so, each with a caption (.txt) beside it; derived, shown by the report."""
        return self.path / "pictures"

    @property
    def manifest(self) -> Path:
        """Digests of all evidence, written by `beatrandom seal`."""
        return self.path / "manifest.json"

    @property
    def signature(self) -> Path:
        """Of the manifest, as ssh-keygen writes it."""
        return self.path / "manifest.json.sig"

    def split(self, digest: str, targets: str = "") -> Path:
        """Indices and test labels of one split, shared by all runs with that seed.

        Args:
            targets: digest of the test labels, where another data set of the study is divided by the same indices.
        """
        return self.path / "splits" / (f"{digest[:32]}-{targets[:16]}.npz" if targets else f"{digest[:32]}.npz")

    def twins(self, digest: str) -> Path:
        """Which images of the data set with this content digest look alike, shared by all runs on it."""
        return self.path / "data" / f"{digest[:32]}.npz"

    def units(self, digest: str) -> Path:
        """What can be bought where it is not one label an image, shared by all runs on it: `first` and `pixels` of `protocol.spec.units.Units`."""
        return self.path / "data" / f"units-{digest[:32]}.npz"

    def regions(self, key: str) -> Path:
        """Superpixels of all training images, shared by all runs on them; made again where they are missing."""
        return self.path / "regions" / key[:32] / "places.npy"

    def pretrained(self, key: str) -> Path:
        """Folder of one pretrained body, and of its embeddings of all images, shared by all runs with that pool and recipe."""
        return self.path / "pretrained" / key[:32]

    @property
    def evidence(self) -> tuple[Path, ...]:
        """Folders of records, of the oracles' ledgers, of splits with their test labels, and of images that look alike."""
        return (self.records, self.path / "oracle", self.path / "splits", self.path / "data")

    @property
    def amendments(self) -> Path:
        """Earlier plans of this study, one a line, each with the reason why it was changed."""
        return self.path / "amendments.jsonl"

    def run(self, run: RunId) -> RunFolder:
        return RunFolder(self.records / str(run))

    def oracle(self, run: RunId) -> RunFolder:
        """Return the folder of the ledger that a separate oracle keeps of one run (`run --isolate`)."""
        return RunFolder(self.path / "oracle" / str(run))

    def source(self, strategy: str, digest: str) -> Path:
        """The kept source of an own strategy, so that later edits cannot change what is run."""
        return self.path / "strategies" / f"{strategy}-{digest[:16]}.py"

    def replays(self, run: RunId) -> Path:
        """Return the file of the outcomes of replaying one run (`replay --keep`)."""
        return self.path / "replays" / f"{run}.json"

    def read_plan(self) -> Study:
        """The study this folder belongs to. Raises InputError if there is none."""
        try:
            text = read_bytes(self.plan)
        except OSError:
            raise InputError(
                Fault(
                    str(self.path),
                    "a study folder (with study.json)",
                    "no study.json",
                    "give the folder that `beatrandom run` wrote",
                )
            ) from None
        try:
            table = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(Fault(str(self.plan), "valid JSON", str(error))) from None
        return parse(Study, table, str(self.plan))

    def adopt(self, study: Study) -> None:
        """Write the plan, or make sure that the folder was made by this very plan."""
        if self.plan.exists():
            there = self.read_plan()
            if there.fingerprint != study.fingerprint:
                raise InputError(
                    Fault(
                        str(self.path),
                        f"a folder of this plan ({study.fingerprint[:12]}), or a new one",
                        f"a folder made by another plan: {there.name} ({there.fingerprint[:12]})",
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
        write_atomically(self.plan, canonical_json(study.model_dump(mode="json")) + b"\n")
