"""Oracles in another process: their side (`OracleServer`) and the run's side (`RemoteOracle`).

Messages are JSON, one request and one answer at a time, so that the oracle cannot execute anything the run sends. The
oracle keeps a ledger of its own in the form of a record: `labels` for every sale, `examined` for every look at the test
labels, `resume` for every later session. It trusts its own ledger, not the run's record.
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

_AGAIN: Final = "run the command again to continue"


class OracleGone(BeatRandomError):
    """The oracle's process ended, or sent something that is not an answer."""


class Request(FrozenModel):
    """One request of a run to its oracle."""

    do: Literal["start", "buy", "restore", "labels", "validation", "examine", "maps", "disclose"]
    purpose: Purpose = "query"
    indices: tuple[int, ...] = ()
    table: str = Field(
        "", description="log-probabilities of the predictions: little-endian float16, rows of classes, base64"
    )
    maps: str = Field("", description="predicted test maps of segmentation: one byte per pixel, base64")


class OracleServer:
    """Answers requests in the oracle's process, and writes its own ledger first.

    Args:
        before: the ledger of earlier sessions; None: this is the first.
        upper_line: whether the run may see labels that it has not bought.
        classes: number of classes; needed for segmentation.
        units: what is sold; None: whole images.
    """

    def __init__(
        self,
        protocol: Protocol,
        seed: int,
        split: Split,
        labels: NDArray[np.integer],
        writer: Writer,
        before: Record | None,
        *,
        upper_line: bool = False,
        classes: int = 0,
        units: PricedUnits | None = None,
    ) -> None:
        self._oracle: Final = Oracle(
            protocol,
            seed,
            split,
            labels,
            self._write,
            on_disclosure=self._on_disclosure if upper_line else None,
            classes=classes,
            units=units,
        )
        self._maps_shape: Final = (len(split.test), *labels.shape[1:])
        self._classes: Final = classes
        self._writer: Final = writer
        self._unclaimed: Final = deque(before.of(LabelsEvent) if before else ())
        """Sales of earlier sessions that this session has not asked for yet."""
        self._sold: list[LabelsEvent] = []
        """Sales of the current request."""
        self._queries = 0
        self._examined = -1
        self._n_test: Final = len(split.test)

    def serve(self, pipe: Connection) -> None:
        """Answer requests until the run closes the pipe."""
        while True:
            try:
                message = pipe.recv_bytes()
            except (EOFError, OSError):
                return
            send(pipe, self.answer(message))

    def answer(self, message: bytes) -> dict[str, Any]:
        """Return the answer to one request; errors become answers, too."""
        try:
            return self._do(Request.model_validate_json(message))
        except ValidationError as error:
            return refusal(
                RecordError(Fault("request to the oracle", "a known request", str(error.errors()[0]["msg"])))
            )
        except (OverflowError, ValueError, IndexError) as error:
            # numbers out of range, which no run sends; the oracle continues
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
            return {"counts": to_json(self._examine_maps(request.maps))}
        elif request.do == "disclose":
            return {"labels": to_json(self._oracle.disclose())}
        elif request.do == "validation":
            return {"labels": to_json(self._oracle.validation()[1])}
        else:
            images, labels = self._oracle.labels_of(indices)
            return {"images": to_json(images), "labels": to_json(labels)}
        return {"sold": [sale.model_dump(mode="json") for sale in self._sold]}

    def _restore(self, purpose: Purpose, indices: tuple[int, ...]) -> None:
        if not self._next_is(purpose, indices):
            raise self._disagreement(purpose, indices)
        self._oracle.restore(purpose, np.asarray(indices, np.int64))
        self._sold.append(self._unclaimed.popleft())
        self._queries += purpose == "query"

    def _write(self, sale: LabelsEvent) -> None:
        """Write a sale before its labels are revealed, unless an earlier session did."""
        if not self._unclaimed:
            self._writer.append(sale)
        elif self._next_is(sale.purpose, sale.indices):
            self._unclaimed.popleft()
        else:
            raise self._disagreement(sale.purpose, sale.indices)
        self._sold.append(sale)

    def _next_is(self, purpose: str, indices: tuple[int, ...]) -> bool:
        """Return whether these labels are the next that an earlier session sold."""
        return bool(self._unclaimed) and (self._unclaimed[0].purpose, self._unclaimed[0].indices) == (purpose, indices)

    def _on_disclosure(self, indices: Indices) -> None:
        self._writer.append(DisclosureEvent(count=len(indices), images=array_digest(indices)))

    def _disagreement(self, purpose: str, indices: tuple[int, ...]) -> RuleBroken:
        expected, found = "no further labels", f"{len(indices)} labels ({purpose})"
        if self._unclaimed:
            sale = self._unclaimed[0]
            expected = f"{len(sale.indices)} labels ({sale.purpose}) from {list(sale.indices[:5])}"
            found += f" from {list(indices[:5])}"
        fix = "a run is made once; to start over, begin the study in a new folder"
        return RuleBroken(
            "ISO-01", Fault("purchase", f"what the oracle sold in an earlier session: {expected}", found, fix)
        )

    def _table(self, encoded: str) -> NDArray[np.float16] | None:
        if not encoded:
            return None
        try:
            table = np.frombuffer(base64.b64decode(encoded, validate=True), "<f2").reshape(self._n_test, -1)
        except ValueError as error:
            expected = f"log-probabilities of {self._n_test} images"
            raise RecordError(Fault("test predictions", expected, str(error))) from None
        return table.astype(np.float16)

    def _examine(self, predicted: NDArray[np.int64], table: NDArray[np.float16] | None) -> dict[str, float]:
        self._check_first_look()
        if len(predicted) != self._n_test:
            raise RecordError(Fault("test predictions", f"{self._n_test} classes", f"{len(predicted)} numbers"))
        low, high = (int(predicted.min()), int(predicted.max())) if len(predicted) else (0, 0)
        if low < 0 or high >= 2**20:
            raise RecordError(Fault("test predictions", "classes from 0 to 2**20 - 1", f"numbers from {low} to {high}"))
        if table is not None and len(predicted) and high >= table.shape[1]:
            raise RecordError(Fault("test predictions", f"classes below {table.shape[1]}", str(high)))
        metrics = self._oracle.examine(predicted, table)
        self._write_look(predictions_digest(predicted), metrics)
        return metrics

    def _examine_maps(self, encoded: str) -> NDArray[np.int64]:
        self._check_first_look()
        try:
            predicted = np.frombuffer(base64.b64decode(encoded, validate=True), np.uint8).reshape(self._maps_shape)
        except ValueError as error:
            raise RecordError(Fault("test predictions", f"maps of shape {self._maps_shape}", str(error))) from None
        highest = int(predicted.max(initial=0))
        if len(self._maps_shape) != 3 or highest >= self._classes:
            expected, found = f"maps of classes below {self._classes}", f"shape {self._maps_shape}, class {highest}"
            raise RecordError(Fault("test predictions", expected, found))
        counts = self._oracle.examine_maps(predicted)
        self._write_look(predictions_digest(counts), segmentation_metrics(counts))
        return counts

    def _check_first_look(self) -> None:
        if self._examined == self._queries:
            raise RuleBroken("ISO-02", Fault(f"round {self._queries}", "one look at the test labels", "a second look"))

    def _write_look(self, predictions: str, metrics: dict[str, float]) -> None:
        self._examined = self._queries
        self._writer.append(ExaminedEvent(round=self._queries, predictions=predictions, metrics=metrics))


class RemoteOracle(Holdings):
    """A `LabelOracle` that asks the oracle's process, and records sales before reading labels."""

    def __init__(
        self,
        protocol: Protocol,
        pipe: Connection,
        split: Split,
        write: WriteAhead,
        on_disclosure: Disclosure | None = None,
        units: Units | None = None,
    ) -> None:
        super().__init__(
            protocol,
            split,
            units or Units.images(1 + max(int(part.max(initial=0)) for part in (split.pool, split.validation))),
        )
        self._pipe: Final = pipe
        self._write: Final = write
        self._on_disclosure: Final = on_disclosure

    def labels_of(self, units: Indices) -> tuple[Indices, NDArray[np.integer]]:
        """Return images and labels of bought units. Raises RuleBroken (BUD-06)."""
        answer = self._ask(Request(do="labels", indices=tuple(units.tolist())))
        return from_json(answer["images"]).astype(np.int64), from_json(answer["labels"])

    def validation(self) -> tuple[Indices, NDArray[np.integer]]:
        """Return validation images and labels; both are empty until bought."""
        images = self._split.validation if len(self._validation) else self._validation
        return images, from_json(self._ask(Request(do="validation"))["labels"])

    def start(self, chosen: Indices | None = None) -> None:
        """Buy the validation labels and the initial set, unless bought. Raises RuleBroken."""
        self._take(self._ask(Request(do="start", indices=() if chosen is None else tuple(chosen.tolist()))))

    def buy(self, units: NDArray[np.integer]) -> None:
        """Buy the labels of one query. Raises RuleBroken as the oracle does."""
        self._take(self._ask(Request(do="buy", indices=tuple(units.tolist()))))

    def restore(self, purpose: Purpose, units: Indices) -> None:
        """Return to the state after a recorded purchase.

        Raises:
            RuleBroken: ISO-01, the oracle's ledger disagrees.
        """
        self._take(self._ask(Request(do="restore", purpose=purpose, indices=tuple(units.tolist()))), write=False)

    def examine(
        self, predicted: NDArray[np.integer], log_probabilities: NDArray[np.float16] | None = None
    ) -> dict[str, float]:
        """Return the metrics of test predictions.

        Raises:
            RuleBroken: ISO-02, a second look in one round.
        """
        self.examinations += 1
        table = (
            "" if log_probabilities is None else base64.b64encode(log_probabilities.astype("<f2").tobytes()).decode()
        )
        return dict(self._ask(Request(do="examine", indices=tuple(predicted.tolist()), table=table))["metrics"])

    def examine_maps(self, predicted: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return confusion matrices of predicted test maps.

        Raises:
            RuleBroken: ISO-02, a second look in one round.
        """
        self.examinations += 1
        maps = base64.b64encode(predicted.astype(np.uint8).tobytes()).decode()
        return from_json(self._ask(Request(do="maps", maps=maps))["counts"]).astype(np.int64)

    def disclose(self) -> NDArray[np.integer]:
        """Return labels of `unlabelled`, unpaid.

        Raises:
            RuleBroken: BUD-06, from both processes, unless the run's strategy is `oracle`.
        """
        if self._on_disclosure is None:
            raise undisclosed()
        self._on_disclosure(self.unlabelled)
        return from_json(self._ask(Request(do="disclose"))["labels"])

    def _take(self, answer: dict[str, Any], *, write: bool = True) -> None:
        for event in answer["sold"]:
            sale = LabelsEvent.model_validate_json(json.dumps(event))
            if write:
                self._write(sale)
            self.add(sale.purpose, np.asarray(sale.indices, np.int64), sale.after)

    def _ask(self, request: Request) -> dict[str, Any]:
        send(self._pipe, request.model_dump(mode="json"))
        return receive(self._pipe)


def to_json(array: NDArray[np.integer]) -> dict[str, Any]:
    """Return an array of integers as JSON."""
    little = array.astype(array.dtype.newbyteorder("<"))
    return {"type": little.dtype.str, "shape": list(array.shape), "bytes": base64.b64encode(little.tobytes()).decode()}


def from_json(value: dict[str, Any]) -> NDArray[np.integer]:
    """Return the array that `to_json` encoded, writeable."""
    flat: NDArray[np.integer] = np.frombuffer(base64.b64decode(value["bytes"]), np.dtype(value["type"]))
    return flat.reshape(value["shape"]).astype(flat.dtype.newbyteorder("="))


def send(pipe: Connection, value: dict[str, Any]) -> None:
    """Send one JSON message. Raises OracleGone if the other process ended."""
    try:
        pipe.send_bytes(json.dumps(value).encode())
    except OSError as error:
        raise OracleGone(Fault("oracle process", "a running oracle", str(error), _AGAIN)) from None


def receive(pipe: Connection) -> dict[str, Any]:
    """Receive one JSON answer. Raises the error that the other side sent, or OracleGone."""
    try:
        answer = json.loads(pipe.recv_bytes())
    except (EOFError, OSError) as error:
        raise OracleGone(Fault("oracle process", "an answer", str(error) or "the process ended", _AGAIN)) from None
    if "refused" not in answer:
        return dict(answer)
    raise _error(answer["refused"], answer["rule"], [Fault(**fault) for fault in answer["faults"]])


def _error(kind: str, rule: str, faults: list[Fault]) -> BeatRandomError:
    if kind == RuleBroken.__name__:
        [fault] = faults
        return RuleBroken(rule, replace(fault, where=fault.where.removesuffix(f" [{rule}]")))
    kinds = {class_.__name__: class_ for class_ in (InputError, RecordError, RunLocked)}
    return kinds.get(kind, OracleGone)(faults)


def refusal(error: BeatRandomError) -> dict[str, Any]:
    """Return an error as an answer."""
    kind = type(error).__name__
    return {"refused": kind, "rule": getattr(error, "rule", ""), "faults": [vars(fault) for fault in error.faults]}
