"""Pictures of purchased images, from the data set and the ledgers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.secondary.purchases import QUERIES, SHOWN, Query, Sheet
from protocol.errors import BeatRandomError
from protocol.metrics import VOID
from protocol.record.chain import read
from protocol.record.events import LabelsEvent
from protocol.record.layout import StudyFolder
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.units import Division
from runners.datasets import Images, Labels
from runners.datasets.regions import divide

PALE: Final = 192
"""Grey level added to a quarter of the brightness of pixels that were not bought."""


def sheets_of(folder: StudyFolder, study: Study, protocol: Protocol, images: Images, labels: Labels) -> list[Sheet]:
    """Return one sheet per strategy, for the first seed with which any run of the protocol bought.

    Frozen features have no pictures, so they have no sheets.
    """
    if images.pixels.dtype != np.uint8 or images.channels not in (1, 3):
        return []
    values = labels.for_oracle()
    masks = values if values.shape == images.pixels.shape[:3] else None
    division = divide(protocol, images, folder)
    regions = division.maps is not None
    for seed in study.seeds:
        out = []
        for strategy in study.strategies:
            try:
                record = read(folder.run(RunId(protocol.name, strategy.id, seed)).events, folder.path)
            except BeatRandomError:
                continue  # not started, or damaged, which `check` reports
            bought = [e for e in record.of(LabelsEvent) if e.purpose == "query"]
            if any(e.indices for e in bought):
                queries = tuple(_query(e, images.pixels, masks, division) for e in _spread(bought) if e.indices)
                out.append(Sheet(protocol.name, strategy.id, seed, queries, regions))
        if out:
            return out
    return []


def _spread(bought: Sequence[LabelsEvent]) -> list[LabelsEvent]:
    places = np.unique(np.linspace(0, len(bought) - 1, QUERIES).round().astype(int))
    return [bought[i] for i in places]


def _query(
    event: LabelsEvent, pixels: NDArray[np.uint8], masks: NDArray[np.integer] | None, division: Division
) -> Query:
    bought = np.asarray(event.indices[:SHOWN], np.int64)
    images = division.units.image_of(bought) if division.maps else bought
    shown, labelled = np.asarray(pixels[images]), None if masks is None else masks[images].astype(np.uint8)
    if division.maps:
        inside = division.maps(images) == bought[:, None, None]
        shown = np.where(inside[..., None], shown, PALE + shown // 4).astype(np.uint8)
        labelled = None if labelled is None else np.where(inside, labelled, VOID).astype(np.uint8)
    return Query(event.before, event.after, tuple(bought.tolist()), shown, labelled)
