"""Load the data of one run and open its oracle, in this process or in one of its own.

This module must not import torch: the oracle's process does without.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.digests import array_digest
from protocol.draws.seeds import stream_seeds
from protocol.draws.splits import Split, make_split, refuse_unpayable
from protocol.errors import Fault, RecordError
from protocol.metrics import targets_of
from protocol.oracle.oracle import Disclosure, LabelOracle, Oracle, WriteAhead
from protocol.oracle.process import OracleGone, OracleServer, RemoteOracle, receive, send
from protocol.record.chain import Record, Writer, open_record
from protocol.record.events import DataCard, LabelsEvent, ResumeEvent, RunEvent
from protocol.record.layout import StudyFolder, write_arrays
from protocol.rules.sidecars import read_integers
from protocol.spec.base import FrozenModel
from protocol.spec.cards import SplitCard
from protocol.spec.data import FeatureCard
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import StrategySpec
from protocol.spec.units import Division
from runners.datasets import Images
from runners.datasets.duplicates import write_groups
from runners.datasets.regions import divide, price_units, write_units
from runners.datasets.registry import refuse_other_task
from runners.run.kept_data import Shelf, read_data

_PATIENCE_S: Final = 10.0


class SessionSpec(FrozenModel):
    """Which run of which study, on which data; sent to the oracle's process as JSON."""

    study: str
    plan: str
    protocol: Protocol
    strategy: StrategySpec
    seed: int
    data_root: Path | None

    @property
    def folder(self) -> StudyFolder:
        """Return the study's folder."""
        return StudyFolder(Path(self.study))

    @property
    def run(self) -> RunId:
        """Return the names of protocol and strategy, and the seed."""
        return RunId(self.protocol.name, self.strategy.id, self.seed)


@dataclass(frozen=True)
class SessionData:
    """Data that a run may see: no labels, only their digest.

    Attributes:
        targets: digest of the test labels.
        files: files that labels were read from, or folders of many.
    """

    images: Images
    split: Split
    division: Division
    targets: str
    files: frozenset[str]


@dataclass(frozen=True)
class LabelledData(SessionData):
    """Data that an oracle is built from: every label of the data set."""

    labels: NDArray[np.integer]

    @classmethod
    def load(cls, spec: SessionSpec, shelf: Shelf | None = None) -> LabelledData:
        """Load the data set, draw the run's split, and divide images into units.

        Args:
            spec: the run.
            shelf: data sets that this process has read; None: read it now, and do not keep it.

        Raises:
            InputError: as `runners.data.load`; or the data are of another task, or the budgets cannot be paid.
        """
        protocol = spec.protocol
        refuse_other_task(protocol)
        read = shelf.load(protocol.data, spec.data_root) if shelf else read_data(protocol.data, spec.data_root)
        images = read.images
        split = make_split(protocol, spec.seed, images.train_size, images.test_size)
        division = divide(protocol, images, spec.folder)
        if protocol.labelling:
            refuse_unpayable(protocol, split, division.units)
        data = cls(images, split, division, "", read.files, read.labels.for_oracle())
        return replace(data, targets=array_digest(data.test_targets))

    @property
    def test_targets(self) -> NDArray[np.int64]:
        """Return what is kept of the test labels; see `protocol.metrics.targets_of`."""
        return targets_of(self.labels[self.split.test], len(self.images.classes))

    def without_labels(self) -> SessionData:
        """Return the part that a run may see."""
        return SessionData(self.images, self.split, self.division, self.targets, self.files)

    def oracle(self, spec: SessionSpec, write: WriteAhead, on_disclosure: Disclosure | None) -> Oracle:
        """Return the oracle of one run."""
        return Oracle(
            spec.protocol,
            spec.seed,
            self.split,
            self.labels,
            write,
            on_disclosure=on_disclosure,
            classes=len(self.images.classes),
            units=price_units(spec.protocol, self.division, self.labels),
        )


def run_event(spec: SessionSpec, data: SessionData, environment: dict[str, Any]) -> RunEvent:
    """Return the first event of the run's record, and of the oracle's own ledger.

    Writes the study's tables of duplicate images and of units if they are missing.
    """
    protocol, images, split = spec.protocol, data.images, data.split
    twins, units = write_groups(spec.folder, images), write_units(spec.folder, protocol, data.division)
    sizes = {"pool": len(split.pool), "validation": len(split.validation), "test": len(split.test)}
    if protocol.splits.pool_size is not None:
        sizes["training"] = images.train_size
    return RunEvent(
        protocol=protocol,
        fingerprint=protocol.fingerprint,
        study=spec.plan,
        strategy=spec.strategy,
        replicate=spec.seed,
        seeds=stream_seeds(protocol.root_seed, spec.seed),
        data=DataCard(
            name=images.name,
            digest=images.digest,
            images=len(images.pixels),
            classes=len(images.classes),
            twins=twins,
            units=units,
            encoded=images.encoded,
        ),
        split=SplitCard(digest=split.digest, targets=data.targets, **sizes),
        environment=environment,
    )


def write_split(folder: StudyFolder, data: LabelledData) -> None:
    """Write the split's indices and test labels for the checker, unless they are there."""
    split = data.split
    path = folder.split(split.digest)
    if path.exists() and not _has_targets(path, data.targets, data.test_targets.size):
        path = folder.split(split.digest, data.targets)
    if not path.exists():  # the same for every strategy with this seed; two writers write equal bytes
        indices = {"pool": split.pool, "validation": split.validation, "test": split.test}
        write_arrays(path, {**indices, "targets": data.test_targets})


def _has_targets(path: Path, targets: str, size: int) -> bool:
    """Return whether a split file has these test labels, not those of another data set."""
    arrays = read_integers(path, {"targets": size}, path.name)
    return isinstance(arrays, Fault) or array_digest(arrays["targets"]) == targets  # damaged: the checker reports it


@contextmanager
def local_oracle(
    spec: SessionSpec, write: WriteAhead, on_disclosure: Disclosure, shelf: Shelf | None = None
) -> Iterator[tuple[SessionData, LabelOracle]]:
    """Open an oracle in this process, with data from the shelf if there is one.

    Only the oracle strategy may read labels that are not bought; `on_disclosure` logs it.
    """
    data = LabelledData.load(spec, shelf)
    write_split(spec.folder, data)
    yield data.without_labels(), data.oracle(spec, write, on_disclosure if spec.strategy.upper_line else None)


@contextmanager
def isolated_oracle(
    spec: SessionSpec, write: WriteAhead, on_disclosure: Disclosure
) -> Iterator[tuple[SessionData, LabelOracle]]:
    """Open an oracle in a process of its own; this process never holds a label that is not bought.

    Raises:
        OracleGone: the oracle's process ended, or its answer cannot be read.
    """
    ours, theirs = Pipe()
    command = [sys.executable, "-m", "runners.run.oracle_process", str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=_environment())
    theirs.close()
    try:
        send(ours, spec.model_dump(mode="json"))
        data = _received(spec, ours)
        allowed = on_disclosure if spec.strategy.upper_line else None
        yield data, RemoteOracle(spec.protocol, ours, data.split, write, allowed, data.division.units)
    finally:
        ours.close()  # ends the oracle's process
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    """Return environment variables with this checkout first on the path."""
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])}


def _received(spec: SessionSpec, pipe: Connection) -> SessionData:
    card = receive(pipe)
    try:
        pixels = np.frombuffer(pipe.recv_bytes(), np.dtype(card["dtype"])).reshape(card["shape"])
    except (EOFError, OSError) as error:
        found = str(error) or "the process ended"
        fix = "run the command again to continue"
        raise OracleGone(Fault("oracle process", "the images", found, fix)) from None
    images = Images(
        card["name"],
        pixels,
        card["train_size"],
        card["test_size"],
        tuple(card["classes"]),
        card["digest"],
        encoded=FeatureCard.model_validate_json(card["encoded"]) if card["encoded"] else None,
    )
    split = make_split(spec.protocol, spec.seed, images.train_size, images.test_size)
    division = divide(spec.protocol, images, spec.folder)
    return SessionData(images, split, division, card["targets"], frozenset(card["files"]))


def serve_oracle(spec: SessionSpec, pipe: Connection) -> None:
    """Open the run's ledger, send the images, and answer requests until the run closes the pipe.

    Called in the oracle's process.
    """
    with open_record(spec.folder.oracle(spec.run)) as (writer, before):
        data = LabelledData.load(spec)
        write_split(spec.folder, data)
        _open_ledger(run_event(spec, data, {"role": "oracle"}), writer, before)
        server = OracleServer(
            spec.protocol,
            spec.seed,
            data.split,
            data.labels,
            writer,
            before,
            upper_line=spec.strategy.upper_line,
            classes=len(data.images.classes),
            units=price_units(spec.protocol, data.division, data.labels),
        )
        _send_images(pipe, data)
        server.serve(pipe)


def _send_images(pipe: Connection, data: SessionData) -> None:
    images = data.images
    card = {
        "name": images.name,
        "train_size": images.train_size,
        "test_size": images.test_size,
        "shape": images.pixels.shape,
        "files": sorted(data.files),
        "encoded": images.encoded.model_dump_json() if images.encoded else None,
        "dtype": images.pixels.dtype.str,
        "classes": images.classes,
        "digest": images.digest,
        "targets": data.targets,
    }
    send(pipe, card)
    pipe.send_bytes(np.ascontiguousarray(images.pixels).data.cast("B"))


def _open_ledger(start: RunEvent, writer: Writer, before: Record | None) -> None:
    if before is None:
        writer.append(start)
        return
    check_same_run(before, start)
    queries = sum(e.purpose == "query" for e in before.of(LabelsEvent))
    writer.append(ResumeEvent(next_round=queries, dropped_bytes=before.torn_bytes, environment=start.environment))


def check_same_run(before: Record, start: RunEvent) -> None:
    """Raise RecordError if `before` is not a record of the run that `start` begins."""
    fields = ("fingerprint", "study", "strategy", "replicate", "seeds", "data", "split")
    differ = [
        name
        for name in fields
        if before.run is None or _comparable(getattr(before.run, name)) != _comparable(getattr(start, name))
    ]
    if differ:
        fix = "use another --out; nothing was overwritten"
        raise RecordError(
            Fault(str(before.path), "a record of this run", f"a record with another {', '.join(differ)}", fix)
        )


def _comparable(value: Any) -> Any:
    """Drop the card of features, so that runs that began without cards can continue.

    Their digest is compared anyway.
    """
    return value.model_copy(update={"encoded": None}) if isinstance(value, DataCard) else value
