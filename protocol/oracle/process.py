"""Labels in another process: the oracle's side (`Counter`) and the run's side (`RemoteOracle`).

What crosses between them is JSON, one request and one answer at a time, so that nothing the run
sends can be executed by the oracle. The oracle keeps a ledger of its own in the form of a record:
`labels` as sold, `examined` for every look at the test labels, `resume` for every later session.
It believes its own ledger, not the run's record.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from protocol.digests import array_digest
from protocol.draws.splits import Indices, Split
from protocol.errors import BeatRandomError, Fault, InputError, RecordError, RuleBroken, RunLocked
from protocol.metrics import segmentation_metrics
from protocol.oracle.oracle import Disclosure, Holdings, Oracle, Purpose, WriteAhead, undisclosed
from protocol.record.chain import Record, Writer
from protocol.record.events import DisclosureEvent, ExaminedEvent, LabelsEvent
from protocol.record.layout import predictions_digest
from protocol.spec.base import FrozenModel
from protocol.spec.protocol import Protocol
from protocol.spec.units import PricedUnits, Units


class OracleGone(BeatRandomError):
    """The oracle's process ended or answered something that is no answer."""


class Request(FrozenModel):
    """All that a run can ask of the oracle."""

    do: Literal["start", "buy", "restore", "labels", "validation", "examine", "maps", "disclose"]
    purpose: Purpose = "query"
    indices: tuple[int, ...] = ()
    table: str = Field(
        "", description="log-probabilities of the predictions: little-endian float16, rows of classes, base64"
    )
    maps: str = Field("", description="predicted test maps of segmentation: one byte a pixel, base64")


class Counter:
    """Answers requests in the oracle's process, its own ledger first.

    Args:
        upper_line: whether the run may be told labels that it has not bought.
        classes: number of classes; needed for segmentation.
        goods: what is sold; None: whole images.
    """

    def __init__(
        self,
        protocol: Protocol,
        replicate: int,
        split: Split,
        labels: NDArray[np.integer],
        writer: Writer,
        before: Record | None,
        *,
        upper_line: bool = False,
        classes: int = 0,
        goods: PricedUnits | None = None,
    ) -> None:
        tell = self._told if upper_line else None
        self._oracle: Final = Oracle(protocol, replicate, split, labels, self._write, tell, classes, goods)
        self._maps: Final = (len(split.test), *labels.shape[1:])
        self._classes: Final = classes
        self._writer: Final = writer
        self._paid: Final = deque(before.of(LabelsEvent) if before else ())
        self._sold: list[LabelsEvent] = []
        self._queries = 0
        self._examined = -1
        self._test: Final = len(split.test)

    def serve(self, pipe: Connection) -> None:
        """Answer until the run hangs up."""
        while True:
            try:
                message = pipe.recv_bytes()
            except (EOFError, OSError):
                return
            send(pipe, self.answer(message))

    def answer(self, message: bytes) -> dict[str, Any]:
        """The answer to one request; whatever is wrong with it becomes an answer, too."""
        try:
            return self._do(Request.model_validate_json(message))
        except ValidationError as error:
            return refusal(
                RecordError(Fault("request to the oracle", "a request it knows", str(error.errors()[0]["msg"])))
            )
        except (
            OverflowError,
            ValueError,
            IndexError,
        ) as error:  # numbers beyond all, which a run never sends; the oracle goes on
            return refusal(
                RecordError(Fault("request to the oracle", "numbers of images or classes", str(error)[:200]))
            )
        except BeatRandomError as error:
            return refusal(error)

    def _do(self, request: Request) -> dict[str, Any]:
        indices = np.asarray(request.indices, np.int64)
        self._sold = []
        if request.do == "start":
            self._oracle.start(indices if len(indices) else None)
        elif request.do == "buy":
            self._oracle.buy(indices)
            self._queries += 1
        elif request.do == "restore":
            self._restore(request.purpose, request.indices)
        elif request.do == "examine":
            return {"metrics": self._examine(indices, self._table(request.table))}
        elif request.do == "maps":
            return {"counts": packed(self._examine_maps(request.maps))}
        elif request.do == "disclose":
            return {"labels": packed(self._oracle.disclose())}
        elif request.do == "validation":
            return {"labels": packed(self._oracle.validation()[1])}
        else:
            images, labels = self._oracle.labels_of(indices)
            return {"images": packed(images), "labels": packed(labels)}
        return {"sold": [sale.model_dump(mode="json") for sale in self._sold]}

    def _restore(self, purpose: Purpose, indices: tuple[int, ...]) -> None:
        if not self._paid or (self._paid[0].purpose, self._paid[0].indices) != (purpose, indices):
            raise self._disagreement(purpose, indices)
        self._oracle.restore(purpose, np.asarray(indices, np.int64))
        self._sold.append(self._paid.popleft())
        self._queries += purpose == "query"

    def _write(self, sale: LabelsEvent) -> None:
        """Called by the oracle before it hands labels over: sold in an earlier session, or written now."""
        if not self._paid:
            self._writer.append(sale)
        elif (self._paid[0].purpose, self._paid[0].indices) == (sale.purpose, sale.indices):
            self._paid.popleft()
        else:
            raise self._disagreement(sale.purpose, sale.indices)
        self._sold.append(sale)

    def _told(self, indices: Indices) -> None:
        self._writer.append(DisclosureEvent(count=len(indices), images=array_digest(indices)))

    def _disagreement(self, purpose: str, indices: tuple[int, ...]) -> RuleBroken:
        sold = f"{len(self._paid[0].indices)} labels ({self._paid[0].purpose})" if self._paid else "nothing more"
        found = f"{len(indices)} labels ({purpose}), other ones" if self._paid else f"{len(indices)} labels ({purpose})"
        fix = "a run is made once; to make it anew, start the study in a new folder"
        return RuleBroken(
            "ISO-01", Fault("purchase", f"what the oracle sold in an earlier session: {sold}", found, fix)
        )

    def _table(self, encoded: str) -> NDArray[np.float16] | None:
        if not encoded:
            return None
        try:
            table = np.frombuffer(base64.b64decode(encoded, validate=True), "<f2").reshape(self._test, -1)
        except ValueError as error:
            raise RecordError(
                Fault("test predictions", f"log-probabilities of {self._test} images", str(error))
            ) from None
        return table.astype(np.float16)

    def _examine(self, predicted: NDArray[np.int64], table: NDArray[np.float16] | None) -> dict[str, float]:
        self._refuse_another_look()
        if len(predicted) != self._test or (len(predicted) and not 0 <= predicted.min() <= predicted.max() < 2**20):
            raise RecordError(Fault("test predictions", f"{self._test} classes", f"{len(predicted)} numbers"))
        if table is not None and len(predicted) and predicted.max() >= table.shape[1]:
            raise RecordError(Fault("test predictions", f"classes below {table.shape[1]}", str(predicted.max())))
        metrics = self._oracle.examine(predicted, table)
        self._keep_look(predictions_digest(predicted), metrics)
        return metrics

    def _examine_maps(self, encoded: str) -> NDArray[np.int64]:
        self._refuse_another_look()
        try:
            predicted = np.frombuffer(base64.b64decode(encoded, validate=True), np.uint8).reshape(self._maps)
        except ValueError as error:
            raise RecordError(Fault("test predictions", f"maps of shape {self._maps}", str(error))) from None
        if len(self._maps) != 3 or predicted.max(initial=0) >= self._classes:
            raise RecordError(Fault("test predictions", f"maps of classes below {self._classes}", "others"))
        counts = self._oracle.examine_maps(predicted)
        self._keep_look(predictions_digest(counts), segmentation_metrics(counts))
        return counts

    def _refuse_another_look(self) -> None:
        if self._examined == self._queries:
            raise RuleBroken("ISO-02", Fault(f"round {self._queries}", "one look at the test labels", "another one"))

    def _keep_look(self, predictions: str, metrics: dict[str, float]) -> None:
        self._examined = self._queries
        self._writer.append(ExaminedEvent(round=self._queries, predictions=predictions, metrics=metrics))


class RemoteOracle(Holdings):
    """A `Seller` without labels: asks the oracle's process, and writes the run's own record before it asks for labels."""

    def __init__(
        self,
        protocol: Protocol,
        pipe: Connection,
        split: Split,
        write: WriteAhead,
        tell: Disclosure | None = None,
        units: Units | None = None,
    ) -> None:
        super().__init__(
            protocol,
            split,
            units or Units.images(1 + max(int(part.max(initial=0)) for part in (split.pool, split.validation))),
        )
        self._pipe: Final = pipe
        self._write: Final = write
        self._tell: Final = tell

    def labels_of(self, units: Indices) -> tuple[Indices, NDArray[np.integer]]:
        """Images and labels of owned units. Raises RuleBroken (BUD-06) as the oracle does."""
        answer = self._ask(Request(do="labels", indices=tuple(units.tolist())))
        return unpacked(answer["images"]).astype(np.int64), unpacked(answer["labels"])

    def validation(self) -> tuple[Indices, NDArray[np.integer]]:
        """Validation images and labels; empty until bought."""
        images = self._split.validation if len(self._validation) else self._validation
        return images, unpacked(self._ask(Request(do="validation"))["labels"])

    def start(self, chosen: Indices | None = None) -> None:
        """Buy what is missing of the validation labels and the starting set. Raises RuleBroken as the oracle does."""
        self._take(self._ask(Request(do="start", indices=() if chosen is None else tuple(chosen.tolist()))))

    def buy(self, units: NDArray[np.integer]) -> None:
        """Buy one query's labels. Raises RuleBroken as the oracle does."""
        self._take(self._ask(Request(do="buy", indices=tuple(units.tolist()))))

    def restore(self, purpose: Purpose, units: Indices) -> None:
        """Claim again what was paid for. Raises RuleBroken (ISO-01) if the oracle's ledger says otherwise."""
        self._take(self._ask(Request(do="restore", purpose=purpose, indices=tuple(units.tolist()))), write=False)

    def examine(
        self, predicted: NDArray[np.integer], log_probabilities: NDArray[np.float16] | None = None
    ) -> dict[str, float]:
        """Metrics of test predictions; once a round (RuleBroken ISO-02)."""
        self.examinations += 1
        table = (
            "" if log_probabilities is None else base64.b64encode(log_probabilities.astype("<f2").tobytes()).decode()
        )
        return dict(self._ask(Request(do="examine", indices=tuple(predicted.tolist()), table=table))["metrics"])

    def examine_maps(self, predicted: NDArray[np.integer]) -> NDArray[np.int64]:
        """Confusion matrices of predicted test maps; once a round (RuleBroken ISO-02)."""
        self.examinations += 1
        maps = base64.b64encode(predicted.astype(np.uint8).tobytes()).decode()
        return unpacked(self._ask(Request(do="maps", maps=maps))["counts"]).astype(np.int64)

    def disclose(self) -> NDArray[np.integer]:
        """Labels of `unlabelled`, unpaid. Raises RuleBroken (BUD-06), here and in the oracle's process, unless the run is the upper line's."""
        if self._tell is None:
            raise undisclosed()
        self._tell(self.unlabelled)
        return unpacked(self._ask(Request(do="disclose"))["labels"])

    def _take(self, answer: dict[str, Any], *, write: bool = True) -> None:
        for told in answer["sold"]:
            sale = LabelsEvent.model_validate_json(json.dumps(told))
            if write:
                self._write(sale)
            self.keep(sale.purpose, np.asarray(sale.indices, np.int64), sale.after)

    def _ask(self, request: Request) -> dict[str, Any]:
        send(self._pipe, request.model_dump(mode="json"))
        return receive(self._pipe)


def packed(array: NDArray[np.integer]) -> dict[str, Any]:
    """An array of integers as JSON."""
    little = array.astype(array.dtype.newbyteorder("<"))
    return {"type": little.dtype.str, "shape": list(array.shape), "bytes": base64.b64encode(little.tobytes()).decode()}


def unpacked(told: dict[str, Any]) -> NDArray[np.integer]:
    """The array of `packed`, writeable."""
    flat: NDArray[np.integer] = np.frombuffer(base64.b64decode(told["bytes"]), np.dtype(told["type"]))
    return flat.reshape(told["shape"]).astype(flat.dtype.newbyteorder("="))


def send(pipe: Connection, value: dict[str, Any]) -> None:
    """One JSON message. Raises OracleGone."""
    try:
        pipe.send_bytes(json.dumps(value).encode())
    except OSError as error:
        raise OracleGone(
            Fault("the oracle's process", "that it listens", str(error), "run again to continue")
        ) from None


def receive(pipe: Connection) -> dict[str, Any]:
    """One JSON answer. Raises what the other side refused with, or OracleGone."""
    try:
        answer = json.loads(pipe.recv_bytes())
    except (EOFError, OSError) as error:
        raise OracleGone(
            Fault("the oracle's process", "an answer", str(error) or "it ended", "run again to continue")
        ) from None
    if "refused" not in answer:
        return dict(answer)
    raise _error(answer["refused"], answer["rule"], [Fault(**fault) for fault in answer["faults"]])


def _error(kind: str, rule: str, faults: list[Fault]) -> BeatRandomError:
    if kind == RuleBroken.__name__:
        [fault] = faults
        return RuleBroken(rule, replace(fault, where=fault.where.removesuffix(f" [{rule}]")))
    kinds = {known.__name__: known for known in (InputError, RecordError, RunLocked)}
    return kinds.get(kind, OracleGone)(faults)


def refusal(error: BeatRandomError) -> dict[str, Any]:
    """An error as an answer."""
    kind = type(error).__name__
    return {"refused": kind, "rule": getattr(error, "rule", ""), "faults": [vars(fault) for fault in error.faults]}
