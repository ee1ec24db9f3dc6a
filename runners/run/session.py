"""Images and labels of one run: the oracle in this process, or in one of its own (`run --isolate`).

Nothing here imports torch: the oracle's process needs none.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
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
from protocol.oracle.oracle import Disclosure, Oracle, Seller, WriteAhead
from protocol.oracle.process import Counter, OracleGone, RemoteOracle, receive, send
from protocol.record.chain import Record, Writer, writing
from protocol.record.events import DataCard, LabelsEvent, ResumeEvent, RunEvent
from protocol.record.layout import StudyFolder, write_arrays
from protocol.spec.base import FrozenModel
from protocol.spec.cards import SplitCard
from protocol.spec.data import FeatureCard
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import StrategySpec
from protocol.spec.units import Division
from runners.data import load
from runners.datasets import Images
from runners.datasets.duplicates import write_groups as keep_twins
from runners.datasets.regions import divide, price_units
from runners.datasets.regions import write_units as keep_units
from runners.datasets.registry import refuse_other_task
from runners.guard.audit_hook import opened

_PATIENCE_S: Final = 10.0


class Order(FrozenModel):
    """Which run, of which study, on which data."""

    study: str
    plan: str
    protocol: Protocol
    strategy: StrategySpec
    seed: int
    data_root: Path | None


@dataclass(frozen=True)
class Market:
    """What a run works with: images, their split, the digest of the test labels, and who sells the others."""

    images: Images
    split: Split
    division: Division
    targets: str
    seller: Seller
    files: frozenset[str]
    """What labels were read from: files, or folders of many."""


def run_event(order: Order, market: Market | Stock, environment: dict[str, Any]) -> RunEvent:
    """The first line of the run's record, and of the oracle's own ledger."""
    images, split = market.images, market.split
    study = StudyFolder(Path(order.study))
    twins, units = keep_twins(study, images), keep_units(study, order.protocol, market.division)
    sizes = {"pool": len(split.pool), "validation": len(split.validation), "test": len(split.test)}
    if order.protocol.splits.pool_size is not None:
        sizes["training"] = images.train_size
    return RunEvent(
        protocol=order.protocol,
        fingerprint=order.protocol.fingerprint,
        study=order.plan,
        strategy=order.strategy,
        replicate=order.seed,
        seeds=stream_seeds(order.protocol.root_seed, order.seed),
        data=DataCard(
            name=images.name,
            digest=images.digest,
            images=len(images.pixels),
            classes=len(images.classes),
            twins=twins,
            units=units,
            encoded=images.encoded,
        ),
        split=SplitCard(digest=split.digest, targets=market.targets, **sizes),
        environment=environment,
    )


@dataclass(frozen=True)
class Stock:
    """What the oracle is built from; every label of the data set."""

    images: Images
    split: Split
    division: Division
    targets: str
    labels: NDArray[np.integer]
    files: frozenset[str]
    """What they were read from: files, or folders of many."""

    @classmethod
    def of(cls, order: Order) -> Stock:
        """Load and divide."""
        refuse_other_task(order.protocol)
        with opened() as files:
            images, hidden = load(order.protocol.data, order.data_root)
        split = make_split(order.protocol, order.seed, images.train_size, images.test_size)
        labels = hidden.for_oracle()
        division = divide(order.protocol, images, StudyFolder(Path(order.study)))
        if order.protocol.labelling:
            refuse_unpayable(order.protocol, split, division.units)
        stock = cls(images, split, division, "", labels, frozenset(files))
        return replace(stock, targets=array_digest(stock.test_targets))

    def oracle(self, order: Order, ledger: WriteAhead, tell: Disclosure | None) -> Oracle:
        """Who sells it to one run."""
        goods = price_units(order.protocol, self.division, self.labels)
        return Oracle(
            order.protocol, order.seed, self.split, self.labels, ledger, tell, len(self.images.classes), goods
        )

    @property
    def test_targets(self) -> NDArray[np.int64]:
        """What is kept of the test labels; see `protocol.metrics.targets_of`."""
        return targets_of(self.labels[self.split.test], len(self.images.classes))


def keep_split(order: Order, stock: Stock) -> None:
    """Write indices and test labels where the checker finds them, if they are not there."""
    split, folder = stock.split, StudyFolder(Path(order.study))
    path = folder.split(split.digest)
    if path.exists() and not _holds(path, stock.targets):
        path = folder.split(split.digest, stock.targets)
    if not path.exists():  # the same for every strategy of the seed; two writers write equal bytes
        write_arrays(
            path,
            {"pool": split.pool, "validation": split.validation, "test": split.test, "targets": stock.test_targets},
        )


def _holds(path: Path, targets: str) -> bool:
    """Whether a split's file has the test labels with this digest, not those of a data set of the same size."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            return array_digest(kept["targets"]) == targets
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return True  # damaged: left for the checker to say so


@contextmanager
def here(order: Order, ledger: WriteAhead, tell: Disclosure) -> Iterator[Market]:
    """The oracle in this process; it discloses labels, through `tell`, only to the upper line."""
    stock = Stock.of(order)
    keep_split(order, stock)
    disclosure = tell if order.strategy.upper_line else None
    yield Market(
        stock.images, stock.split, stock.division, stock.targets, stock.oracle(order, ledger, disclosure), stock.files
    )


@contextmanager
def isolated(order: Order, ledger: WriteAhead, tell: Disclosure) -> Iterator[Market]:
    """The oracle in a process of its own; this one never holds a label that was not bought."""
    ours, theirs = Pipe()
    command = [sys.executable, "-m", "runners.run.oracle_process", str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=_environment())
    theirs.close()
    try:
        send(ours, order.model_dump(mode="json"))
        yield _delivered(order, ours, ledger, tell if order.strategy.upper_line else None)
    finally:
        ours.close()  # hanging up ends the other side
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    """This checkout first on the path, wherever the run was started from."""
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])}


def _delivered(order: Order, pipe: Connection, ledger: WriteAhead, tell: Disclosure | None) -> Market:
    card = receive(pipe)
    try:
        pixels = np.frombuffer(pipe.recv_bytes(), np.dtype(card["dtype"])).reshape(card["shape"])
    except (EOFError, OSError) as error:
        raise OracleGone(
            Fault("the oracle's process", "the images", str(error) or "it ended", "run again to continue")
        ) from None
    encoded = FeatureCard.model_validate_json(card["encoded"]) if card["encoded"] else None
    images = Images(
        card["name"],
        pixels,
        card["train_size"],
        card["test_size"],
        tuple(card["classes"]),
        card["digest"],
        encoded=encoded,
    )
    split = make_split(order.protocol, order.seed, images.train_size, images.test_size)
    division = divide(order.protocol, images, StudyFolder(Path(order.study)))
    seller = RemoteOracle(order.protocol, pipe, split, ledger, tell, division.units)
    return Market(images, split, division, card["targets"], seller, frozenset(card["files"]))


def keep_shop(order: Order, pipe: Connection) -> None:
    """In the oracle's process: open the run's ledger, hand over the images, answer until the run hangs up."""
    folder = StudyFolder(Path(order.study)).oracle(RunId(order.protocol.name, order.strategy.id, order.seed))
    with writing(folder) as (writer, before):
        stock = Stock.of(order)
        keep_split(order, stock)
        _open_ledger(run_event(order, stock, {"role": "oracle"}), writer, before)
        images, upper = stock.images, order.strategy.upper_line
        goods, classes = price_units(order.protocol, stock.division, stock.labels), len(images.classes)
        counter = Counter(
            order.protocol,
            order.seed,
            stock.split,
            stock.labels,
            writer,
            before,
            upper_line=upper,
            classes=classes,
            goods=goods,
        )
        card = {
            "name": images.name,
            "train_size": images.train_size,
            "test_size": images.test_size,
            "shape": images.pixels.shape,
        }
        card["files"] = sorted(stock.files)
        card["encoded"] = images.encoded.model_dump_json() if images.encoded else None
        send(
            pipe,
            {
                **card,
                "dtype": images.pixels.dtype.str,
                "classes": images.classes,
                "digest": images.digest,
                "targets": stock.targets,
            },
        )
        pipe.send_bytes(np.ascontiguousarray(images.pixels).data.cast("B"))
        counter.serve(pipe)


def _open_ledger(start: RunEvent, writer: Writer, before: Record | None) -> None:
    if before is None:
        writer.append(start)
        return
    refuse_another_run(before, start)
    sold = sum(e.purpose == "query" for e in before.of(LabelsEvent))
    writer.append(ResumeEvent(next_round=sold, dropped_bytes=before.torn_bytes, environment=start.environment))


def refuse_another_run(before: Record, start: RunEvent) -> None:
    """Raises RecordError if `before` is not of the run that `start` begins."""
    same = ("fingerprint", "study", "strategy", "replicate", "seeds", "data", "split")
    differ = [
        key
        for key in same
        if before.run is None or _of_content(getattr(before.run, key)) != _of_content(getattr(start, key))
    ]
    if differ:
        fix = "use another --out; nothing was overwritten"
        raise RecordError(Fault(str(before.path), "a record of this very run", f"other {', '.join(differ)}", fix))


def _of_content(part: Any) -> Any:
    """Without the card of features, whose digest is there already: a run that began before there were cards goes on."""
    return part.model_copy(update={"encoded": None}) if isinstance(part, DataCard) else part
