"""Labelled images: their overlap between strategies, and their classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.loading.curves import Curves
from analysis.loading.extract import Indices
from analysis.secondary.changed_predictions import ClassChange, MapChange
from protocol.spec.run_id import RunId


@dataclass(frozen=True)
class Classes:
    """Classes of the images of one protocol's data set.

    Attributes:
        of: class number of every image, shape (images,), by the indices in records.
        names: class names in the order of their numbers.
    """

    of: Indices
    names: tuple[str, ...]


QUERIES: Final = 4
"""Number of queries that a contact sheet shows: the first, the last, and some between."""
SHOWN: Final = 6
"""Number of images per query that it shows."""


@dataclass(frozen=True, eq=False)
class Query:
    """First images of one query.

    Attributes:
        before, after: number of labels before and after the query.
        indices: indices of the shown images or regions, in the order of labelling.
        pixels: images, (k, height, width, 1 or 3) uint8.
        masks: class numbers, (k, height, width); numbers beyond the classes are void. `None` for classification.
    """

    before: int
    after: int
    indices: tuple[int, ...]
    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class Sheet:
    """Images labelled in one run, for a contact sheet.

    Attributes:
        queries: one to `QUERIES` queries of at most `SHOWN` images.
        regions: whether regions were labelled; then images are pale and masks void outside them.
    """

    protocol: str
    strategy: str
    seed: int
    queries: tuple[Query, ...]
    regions: bool = False


@dataclass(frozen=True)
class Purchases:
    """Data on labelled images that records do not hold, for figures and reports.

    Attributes:
        classes: classes of the images by protocol, if the data set is available. Records hold no labels.
        absent: why images have no classes, by protocol: the data set is not available, or the task is segmentation.
        pixel_classes: class names of segmentation by protocol, in the order of their numbers.
        sheets: contact sheets, one run per strategy and protocol.
        changes: changed predictions, one run per strategy and protocol.
    """

    classes: Mapping[str, Classes] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    pixel_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sheets: tuple[Sheet, ...] = ()
    changes: tuple[MapChange | ClassChange, ...] = ()

    def class_names(self, protocol: str) -> tuple[str, ...]:
        """Return class names of a protocol's images or pixels, in order.

        They are empty if the data set is not available.
        """
        classes = self.classes.get(protocol)
        return self.pixel_classes.get(protocol, ()) if classes is None else classes.names


def overlap(curves: Curves) -> pd.DataFrame:
    """Compute the Jaccard index |A and B| / |A or B| of two strategies' labelled images.

    Both strategies ran with the same seed.

    Images count up to the end of the budget.

    Returns:
        Columns protocol, strategy, other, n (shared seeds), jaccard (mean over them, in [0, 1]; 1 for a strategy and
        itself). Every ordered pair; strategies without a run with labels are left out.
    """
    rows = []
    for protocol in curves.protocols:
        sums: dict[tuple[str, str], list[float]] = {}
        for seed in sorted({k.seed for k in curves.bought if k.protocol == protocol}):
            sets = {s: curves.bought.get(RunId(protocol, s, seed)) for s in curves.strategies}
            known = {s: np.unique(v) for s, v in sets.items() if v is not None and len(v)}
            for pair, value in _jaccard(known).items():
                sums.setdefault(pair, []).append(value)
        rows += [(protocol, a, b, len(v), float(np.mean(v))) for (a, b), v in sums.items()]
    return pd.DataFrame(rows, columns=["protocol", "strategy", "other", "n", "jaccard"])


def _jaccard(sets: Mapping[str, Indices]) -> dict[tuple[str, str], float]:
    if not sets:
        return {}
    every = np.unique(np.concatenate(list(sets.values())))
    member = np.zeros((len(sets), len(every)), dtype=np.float32)
    for row, indices in enumerate(sets.values()):
        member[row, np.searchsorted(every, indices)] = 1
    both = (member @ member.T).astype(np.float64)
    size = np.diag(both)
    values = both / (size[:, None] + size[None, :] - both)
    names = list(sets)
    return {(a, b): float(values[i, j]) for i, a in enumerate(names) for j, b in enumerate(names)}


def balance(curves: Curves, purchases: Purchases) -> pd.DataFrame:
    """Count the classes of the images that each strategy labelled.

    Returns:
        Columns protocol, strategy, number, label (the class), n (runs), count (mean over runs), share (mean over runs
        of the share of the run's labels, in [0, 1]). Only protocols with known classes, and runs with labels.
    """
    rows = []
    for protocol, classes in purchases.classes.items():
        for strategy in curves.strategies:
            runs = [v for k, v in curves.bought.items() if (k.protocol, k.strategy) == (protocol, strategy) and len(v)]
            if runs:
                counts = np.stack([np.bincount(classes.of[v], minlength=len(classes.names)) for v in runs])
                count, share = counts.mean(axis=0), (counts / counts.sum(axis=1, keepdims=True)).mean(axis=0)
                rows += [
                    (protocol, strategy, c, label, len(runs), float(count[c]), float(share[c]))
                    for c, label in enumerate(classes.names)
                ]
    return pd.DataFrame(rows, columns=["protocol", "strategy", "number", "label", "n", "count", "share"])
