"""The classes of a study's images, from the data sets themselves: records hold no labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis.secondary.changed_predictions import ClassChange, MapChange
from analysis.secondary.purchases import Classes, Purchases, Sheet
from protocol.errors import BeatRandomError
from protocol.record.chain import read
from protocol.record.layout import StudyFolder
from protocol.spec.protocol import Protocol
from runners.data import load
from runners.datasets import Images, Labels
from runners.verbs.results.changes import changes_of
from runners.verbs.results.sheets import sheets_of


def purchases_of(folder: StudyFolder, data_root: Path | None) -> Purchases:
    """Classes and pictures of every protocol whose data set is found and is, by its digest, the one the runs were made with."""
    classes: dict[str, Classes] = {}
    pixel_classes: dict[str, tuple[str, ...]] = {}
    absent: dict[str, str] = {}
    sheets: list[Sheet] = []
    changes: list[MapChange | ClassChange] = []
    loaded: dict[str, tuple[Images, Labels] | str] = {}
    study = folder.read_plan()
    for protocol in study.protocols:
        key = protocol.data.model_dump_json()
        if key not in loaded:
            loaded[key] = _load(protocol, data_root)
        found = loaded[key]
        recorded = _digest(folder, protocol)
        if isinstance(found, str):
            absent[protocol.name] = found
        elif recorded and recorded != found[0].digest:
            absent[protocol.name] = (
                f"the data set {protocol.data.name} that is here is not the one of the runs ({found[0].digest[:12]}, recorded {recorded[:12]})"
            )
        elif recorded:
            images, labels = found
            sheets += sheets_of(folder, study, protocol, images, labels)
            changes += changes_of(folder, study, protocol, images, labels)
            if protocol.task == "classification":
                classes[protocol.name] = _classes(images, labels)
            else:
                absent[protocol.name] = f"{protocol.task} has a class for every pixel, not one an image"
                pixel_classes[protocol.name] = images.classes
    return Purchases(classes, absent, pixel_classes, tuple(sheets), tuple(changes))


def _classes(images: Images, labels: Labels) -> Classes:
    told = labels.for_oracle().astype(np.int64)
    names = (*images.classes, "none of them") if (told < 0).any() else images.classes
    return Classes(np.where(told < 0, len(images.classes), told), names)


def _load(protocol: Protocol, data_root: Path | None) -> tuple[Images, Labels] | str:
    try:
        return load(protocol.data, data_root)
    except BeatRandomError as error:
        fault = error.faults[0]
        return f"data set {protocol.data.name}: expected {fault.expected}, found {fault.found}"


def _digest(folder: StudyFolder, protocol: Protocol) -> str:
    """Content digest in any record of the protocol; empty if none has started."""
    for events in sorted(folder.records.glob(f"{protocol.name}/*/seed-*/events.jsonl")):
        try:
            run = read(events).run
        except BeatRandomError:
            continue
        if run is not None:
            return run.data.digest
    return ""
