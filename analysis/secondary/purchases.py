"""What was bought: how much of it two strategies have in common, and of which classes it is."""

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
    """Of the images of one protocol's data set.

    Attributes:
        of: class number of every image, shape (images,), by the indices that records use.
        names: in the order of their numbers.
    """

    of: Indices
    names: tuple[str, ...]


QUERIES: Final = 4
"""Queries of a run that a contact sheet shows: the first, the last, and some between."""
SHOWN: Final = 6
"""Images of a query that it shows."""


@dataclass(frozen=True, eq=False)
class Query:
    """The first images of one purchase.

    Attributes:
        before, after: labels paid for.
        indices: of the images (or regions) that are shown, in the order of purchase.
        pixels: (k, height, width, 1 or 3) uint8.
        masks: class numbers, (k, height, width); a number beyond the classes is void. None: not a segmentation.
    """

    before: int
    after: int
    indices: tuple[int, ...]
    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class Sheet:
    """What one run bought, for a contact sheet: at most QUERIES queries of at most SHOWN images, at least one.

    `regions`: whether regions were bought; their images are pale elsewhere, and their masks void.
    """

    protocol: str
    strategy: str
    seed: int
    queries: tuple[Query, ...]
    regions: bool = False


@dataclass(frozen=True)
class Purchases:
    """What a report knows of the purchases beyond the records.

    Attributes:
        classes: protocol -> classes of its images, where the data set was at hand. Records hold no labels.
        absent: protocol -> why its images have no class each: the data set is not at hand, or it is a segmentation.
        pixel_classes: protocol of a segmentation -> names of the classes, in the order of their numbers.
        sheets: images that were bought, a run a strategy and protocol.
        changes: predictions that changed, a run a strategy and protocol.
    """

    classes: Mapping[str, Classes] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    pixel_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sheets: tuple[Sheet, ...] = ()
    changes: tuple[MapChange | ClassChange, ...] = ()

    def class_names(self, protocol: str) -> tuple[str, ...]:
        """Of a protocol's images or of their pixels, in the order of their numbers; empty where the data set was not at hand."""
        known = self.classes.get(protocol)
        return self.pixel_classes.get(protocol, ()) if known is None else known.names


def overlap(curves: Curves) -> pd.DataFrame:
    """Jaccard index |A and B| / |A or B| of what two strategies bought with the same seed, by the end of the budget.

    Returns:
        Columns protocol, strategy, other, n (shared seeds), jaccard (mean over them, in [0, 1]; 1 for a strategy and itself).
        Every ordered pair; strategies without a run that bought something are left out.
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
    """Class counts of what each strategy's queries bought.

    Returns:
        Columns protocol, strategy, number, label (the class), n (runs), count (mean over runs), share (mean of the run's
        purchases, in [0, 1]). Only protocols whose classes are known, and runs that bought something.
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
