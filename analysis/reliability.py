"""How often a classifier is right where it says how sure it is: bins of confidence, from the probabilities that records keep."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocol.folders import StudyFolder
from protocol.metrics import ECE_BINS, reliability
from protocol.record import Record

BIN_COLUMNS: Final = ("protocol", "strategy", "seed", "budget", "bin", "images", "confidence", "right")


def bins_of(folder: StudyFolder, record: Record, place: tuple[str, str, int]) -> list[tuple[object, ...]]:
    """Rows of `BIN_COLUMNS` for a complete run's last round; none where probabilities were not kept or cannot be read.

    `confidence` and `right` are sums over the bin's images. Whether the sidecar is the one that the record means is for
    `check` to say.
    """
    last = record.rounds[-1]
    if record.run is None or not last.probabilities:
        return []
    split = folder.split(record.run.split.digest)
    other = folder.split(record.run.split.digest, record.run.split.targets)
    kept = _arrays(folder.run(*place).predictions(last.round), "prediction", "log_probability")
    truth = _arrays(other if other.exists() else split, "targets")
    if kept is None or truth is None or kept[1].ndim != 2 or not len(kept[0]) == len(kept[1]) == len(truth[0]):
        return []
    counts = reliability(kept[1], kept[0].astype(np.int64), truth[0].astype(np.int64))
    return [(*place, last.budget, bin_, *counts[:, bin_].tolist()) for bin_ in range(ECE_BINS) if counts[0, bin_]]


def pooled(bins: pd.DataFrame) -> pd.DataFrame:
    """Bins of all seeds put together.

    Returns:
        Columns protocol, strategy, budget, bin (from 0), n (seeds), images, share (of all images), confidence and accuracy (means
        over the bin's images, in [0, 1]).
    """
    keys = ["protocol", "strategy", "budget", "bin"]
    seeds = bins.groupby(["protocol", "strategy"], sort=False)["seed"].nunique().rename("n")
    sums = bins.groupby(keys, sort=False)[["images", "confidence", "right"]].sum().reset_index()
    frame = sums.merge(seeds, on=["protocol", "strategy"], how="left")
    total = frame.groupby(["protocol", "strategy"])["images"].transform("sum")
    frame["share"] = frame["images"] / total
    frame["accuracy"] = frame["right"] / frame["images"]
    frame["confidence"] = frame["confidence"] / frame["images"]
    return frame[[*keys, "n", "images", "share", "confidence", "accuracy"]].sort_values(["protocol", "strategy", "bin"], ignore_index=True)


def _arrays(path: Path, *names: str) -> list[NDArray[Any]] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return [file[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
