"""Extract purchases, query costs and confidence bins from one record."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import Fault
from protocol.metrics import ECE_BINS, reliability
from protocol.record.chain import Record
from protocol.record.events import LabelsEvent
from protocol.record.layout import StudyFolder
from protocol.rules.sidecars import read_arrays
from protocol.spec.run_id import RunId

Indices = NDArray[np.int64]


def queried_indices(record: Record) -> Indices:
    """Return the image indices that a strategy bought, in order, without validation images.

    These are the indices of its queries, and of the initial set if the strategy chose it.
    """
    queries = [e.indices for e in record.of(LabelsEvent) if e.purpose == "query" or e.chosen]
    return np.array([i for indices in queries for i in indices], dtype=np.int64)


PARTS: Final = ("members_s", "features_s", "prepare_s", "query_s")
"""Costs of a query in a round's record: further ensemble members, features, the strategy's own training, selection."""


def query_cost_rows(record: Record, run: RunId) -> list[tuple[object, ...]]:
    """Return one row of `COST_COLUMNS` per round with a query and a recorded cost."""
    rounds = [r for r in record.rounds if r.query and r.cost.keys() & set(PARTS)]
    return [
        (*run, r.budget, sum(r.cost.get(part, 0.0) for part in PARTS), r.cost.get("peak_memory_mib", float("nan")))
        for r in rounds
    ]


BIN_COLUMNS: Final = ("protocol", "strategy", "seed", "budget", "bin", "images", "confidence", "right")


def confidence_bin_rows(folder: StudyFolder, record: Record, place: RunId) -> list[tuple[object, ...]]:
    """Return rows of `BIN_COLUMNS` for the last round of a complete run.

    `confidence` and `right` are sums over the bin's images. There are no rows if probabilities were not stored or
    cannot be read. Whether the sidecar matches the record's digest is verified by `check`, not here.
    """
    last = record.rounds[-1]
    if record.run is None or not last.probabilities:
        return []
    split = folder.split(record.run.split.digest)
    other = folder.split(record.run.split.digest, record.run.split.targets)
    test, classes = record.run.split.test, record.run.data.classes
    sizes = {"prediction": test, "log_probability": test * classes}
    stored = read_arrays(folder.run(place).predictions(last.round), sizes, "", folder.path)
    truth = read_arrays(other if other.exists() else split, {"targets": test}, "", folder.path)
    if isinstance(stored, Fault) or isinstance(truth, Fault):
        return []
    predicted, table, targets = stored["prediction"], stored["log_probability"], truth["targets"]
    if table.ndim != 2 or predicted.ndim != 1 or not len(predicted) == len(table) == len(targets):
        return []
    counts = reliability(table, predicted.astype(np.int64), targets.astype(np.int64))
    return [(*place, last.budget, bin_, *counts[:, bin_].tolist()) for bin_ in range(ECE_BINS) if counts[0, bin_]]
