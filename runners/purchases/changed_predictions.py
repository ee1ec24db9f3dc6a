"""Test predictions that changed between the first and the last round of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.secondary.changed_predictions import (
    EACH,
    GAINED,
    LOST,
    MAPS,
    OTHER,
    ClassChange,
    MapChange,
    Turned,
    kinds,
)
from protocol.draws.splits import Indices, make_split
from protocol.errors import BeatRandomError, Fault
from protocol.record.chain import read
from protocol.record.layout import RunFolder, StudyFolder
from protocol.rules.sidecars import read_arrays
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from runners.datasets import Images, Labels

Place = tuple[str, str, int]
Ends = tuple[int, int]
"""A number of the first round and of the last."""


@dataclass(frozen=True, eq=False)
class _Shown:
    """Test indices of a seed, all images, and all labels."""

    test: Indices
    images: Images
    truth: NDArray[np.integer]


def changes_of(
    folder: StudyFolder, study: Study, protocol: Protocol, images: Images, labels: Labels
) -> list[MapChange | ClassChange]:
    """Return one change per strategy, for the first seed with stored predictions of two rounds.

    Frozen features have no pictures, so nothing is returned for them. Sidecars are not compared with the record here;
    `check` does this.
    """
    if images.pixels.dtype != np.uint8 or images.channels not in (1, 3):
        return []
    look = _of_maps if protocol.task == "segmentation" else _of_classes
    truth = labels.for_oracle()
    for seed in study.seeds:
        shown = _Shown(make_split(protocol, seed, images.train_size, images.test_size).test, images, truth)
        changes = []
        for strategy in study.strategies:
            place = RunId(protocol.name, strategy.id, seed)
            ends = _ends(folder.run(place))
            change = ends and look(folder.run(place), place, *ends, shown)
            if change:
                changes.append(change)
        if changes:
            return changes
    return []


def _ends(run: RunFolder) -> tuple[Ends, Ends] | None:
    """Return numbers and budgets of the first and the last round, if there are two."""
    try:
        rounds = read(run.events, run.root).rounds
    except BeatRandomError:
        return None  # not started, or damaged, which `check` reports
    return ((rounds[0].round, rounds[-1].round), (rounds[0].budget, rounds[-1].budget)) if len(rounds) > 1 else None


def _of_maps(run: RunFolder, place: RunId, rounds: Ends, budgets: Ends, shown: _Shown) -> MapChange | None:
    test, images, truth = shown.test, shown.images, shown.truth
    kept = [read_arrays(run.predictions(k), {"place": len(test), "map": None}, str(k), run.root) for k in rounds]
    shape = images.pixels.shape[1:3]
    maps = []
    for one in kept:
        if isinstance(one, Fault) or one["map"].ndim != 3 or one["map"].shape != (len(one["place"]), *shape):
            return None
        maps.append(one["map"][:MAPS].astype(np.uint8))
        places = one["place"][:MAPS]
        if (
            places.ndim != 1
            or places.dtype.kind not in "iu"
            or not len(places)
            or places.min() < 0
            or places.max() >= len(test)
        ):
            return None
    drawn = test[places]
    true = truth[drawn].astype(np.uint8)
    return MapChange(*place, budgets, tuple(drawn.tolist()), np.asarray(images.pixels[drawn]), true, maps[0], maps[1])


def _of_classes(run: RunFolder, place: RunId, rounds: Ends, budgets: Ends, shown: _Shown) -> ClassChange | None:
    test, images, truth = shown.test, shown.images, shown.truth
    kept = [read_arrays(run.predictions(k), {"prediction": len(test)}, str(k), run.root) for k in rounds]
    predicted = []
    for one in kept:
        if isinstance(one, Fault) or one["prediction"].shape != test.shape or one["prediction"].dtype.kind not in "iu":
            return None
        predicted.append(one["prediction"].astype(np.int64))
    before, after = predicted
    became = kinds(before, after, truth[test], len(images.classes))

    def turned(kind: int) -> Turned:
        all_ = np.flatnonzero(became == kind)
        some = all_[:EACH]
        pairs = tuple(zip(before[some].tolist(), after[some].tolist(), strict=True))
        return Turned(len(all_), tuple(test[some].tolist()), np.asarray(images.pixels[test[some]]), pairs)

    return ClassChange(*place, budgets, len(test), turned(GAINED), turned(LOST), int((became == OTHER).sum()))
