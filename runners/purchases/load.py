"""Load what a study bought, from its data sets and records."""

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
from runners.purchases.changed_predictions import changes_of
from runners.purchases.contact_sheets import sheets_of


def load_purchases(study: Path, data_root: Path | None = None) -> Purchases:
    """Read classes, pictures and changed predictions of a study's images; records hold no labels.

    A protocol is left out, with the reason, if its data set is missing, or is not the one of the runs by its digest.

    Args:
        study: a study folder.
        data_root: folder of the data sets; None: BEATRANDOM_DATA.
    """
    classes: dict[str, Classes] = {}
    pixel_classes: dict[str, tuple[str, ...]] = {}
    absent: dict[str, str] = {}
    sheets: list[Sheet] = []
    changes: list[MapChange | ClassChange] = []
    data_sets: dict[str, tuple[Images, Labels] | str] = {}
    folder = StudyFolder(study)
    plan = folder.read_plan()
    for protocol in plan.protocols:
        key = protocol.data.model_dump_json()
        if key not in data_sets:
            data_sets[key] = _load(protocol, data_root)
        data_set = data_sets[key]
        recorded = _recorded_digest(folder, protocol)
        if isinstance(data_set, str):
            absent[protocol.name] = data_set
        elif recorded and recorded != data_set[0].digest:
            absent[protocol.name] = (
                f"the data set {protocol.data.name} found here is not the one of the runs "
                f"({data_set[0].digest[:12]}, recorded {recorded[:12]})"
            )
        elif recorded:
            images, labels = data_set
            sheets += sheets_of(folder, plan, protocol, images, labels)
            changes += changes_of(folder, plan, protocol, images, labels)
            if protocol.task == "classification":
                classes[protocol.name] = _classes(images, labels)
            else:
                absent[protocol.name] = f"{protocol.task} has one class per pixel, not one per image"
                pixel_classes[protocol.name] = images.classes
    return Purchases(classes, absent, pixel_classes, tuple(sheets), tuple(changes))


def _classes(images: Images, labels: Labels) -> Classes:
    values = labels.for_oracle().astype(np.int64)
    names = (*images.classes, "none of them") if (values < 0).any() else images.classes
    return Classes(np.where(values < 0, len(images.classes), values), names)


def _load(protocol: Protocol, data_root: Path | None) -> tuple[Images, Labels] | str:
    try:
        return load(protocol.data, data_root)
    except BeatRandomError as error:
        fault = error.faults[0]
        return f"data set {protocol.data.name}: expected {fault.expected}, found {fault.found}"


def _recorded_digest(folder: StudyFolder, protocol: Protocol) -> str:
    """Return the content digest in any record of the protocol; empty if no run has started."""
    for events in sorted(folder.records.glob(f"{protocol.name}/*/seed-*/events.jsonl")):
        try:
            run = read(events, folder.path).run
        except BeatRandomError:
            continue
        if run is not None:
            return run.data.digest
    return ""
