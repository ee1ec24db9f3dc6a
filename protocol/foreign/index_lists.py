"""Check another project's lists of labelled indices against a protocol.

Budgets, queries, overlap and starting sets are checked.

FOLDER/<strategy>/seed-<n>/round-<k>.npy    or .json, .csv, .txt: indices labelled in round k, or in all rounds so far
FOLDER/<strategy>/seed-<n>.json             the same as a list of lists
FOLDER/test.npy, validation.npy, pool.npy   optional; shared by all runs
"""

from __future__ import annotations

import io
import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import TypeGuard

import numpy as np

from protocol.draws.splits import Split
from protocol.errors import Fault, InputError
from protocol.foreign.partial_record import Partial, Runs, evidence, known_round, study_of
from protocol.record.events import AnyEvent, EndEvent, LabelsEvent
from protocol.record.layout import StudyFolder
from protocol.rules.check import Body, evaluate
from protocol.rules.result import Compliance
from protocol.rules.rule import Kind
from protocol.rules.sidecars import SplitEvidence
from protocol.safe_read import read_bytes
from protocol.spec.base import EXACT
from protocol.spec.protocol import Protocol
from protocol.spec.study import BASELINE

_ROUND = re.compile(r"\D*(\d{1,9})\.(npy|json|csv|txt)")
_KINDS = (".npy", ".json", ".csv", ".txt")

Batches = list[tuple[str, list[int]]]
"""(file, indices) of every round, in order."""


def check_indices(folder: Path, protocol: Protocol) -> Compliance:
    """Check the rules about labels; rules about training and metrics cannot be verified.

    Args:
        folder: the lists, named as in this module's docstring.
        protocol: what the lists are checked against.

    Raises:
        InputError: no lists, unreadable lists, or a charged validation set without a list; all faults at once.
    """
    faults: list[Fault] = []
    if protocol.labelling is not None:
        fix = "use a protocol without labelling; regions and their costs are checked only in beatrandom's own records"
        faults.append(
            Fault(f"protocol {protocol.name}", "whole images, one label each", f"budgets in {protocol.currency}", fix)
        )
    lists = _lists(folder, faults)
    parts = {part: _part(folder, part, faults) for part in ("pool", "validation", "test")}
    if protocol.charged_validation and parts["validation"] is None:
        expected = f"the {protocol.charged_validation} validation labels that the budget pays for"
        faults.append(
            Fault(
                f"{folder}/validation.npy",
                expected,
                "no such list",
                "add it, or use a protocol without counted validation labels",
            )
        )
    if not lists and not faults:
        faults.append(
            Fault(
                str(folder),
                "<strategy>/seed-<n>/round-<k>.npy, or .json, .csv, .txt",
                "no such file",
                "write one file per round, or seed-<n>.json with one list per round; one whole number per image",
            )
        )
    if faults:
        raise InputError(faults)
    split = _split(parts, lists)
    chosen = {key: protocol.splits.initial == "strategy" and key[0] != BASELINE for key in lists}
    runs: Runs = {
        key: _partial(batches, protocol, parts["validation"], folder, split, chosen[key])
        for key, batches in lists.items()
    }
    study = study_of(folder.resolve().name, protocol, runs, str(folder))
    kinds: set[Kind] = {"presence", "peers", "ledger", "budgets"}
    if parts["validation"] is not None:
        kinds.add("validation")
    if split is not None and (parts["validation"] is not None or not protocol.splits.validation_size):
        kinds.add("split")
    body = evidence(study, StudyFolder(folder), runs, str(folder))
    lacks = "lists of labelled indices, which do not show this"
    return evaluate(
        Body(
            "indices",
            str(folder),
            study,
            StudyFolder(folder),
            body,
            len(study.strategies) * len(study.seeds),
            frozenset(kinds),
            lacks,
        )
    )


def _lists(folder: Path, faults: list[Fault]) -> dict[tuple[str, int], Batches]:
    lists: dict[tuple[str, int], Batches] = {}
    places: dict[tuple[str, int], Path] = {}
    for place in sorted(folder.glob("*/seed-*")):
        number = place.name.removeprefix("seed-").removesuffix(".json")
        if not number.isdecimal():
            continue
        if len(number) > len(str(EXACT)) or int(number) > EXACT:
            faults.append(Fault(str(place), "seed-<n> with n up to 2**53 - 1", number[:40], "rename it"))
            continue
        key = (place.parent.name, int(number))
        if not (place.is_dir() or place.suffix == ".json"):
            continue
        if other := places.get(key):
            faults.append(
                Fault(
                    str(place),
                    f"one file or folder of lists for {key[0]}, seed {key[1]}",
                    f"{other.name}, too",
                    "keep one",
                )
            )
            continue
        places[key] = place
        if place.is_dir():
            files = sorted((int(m[1]), p) for p in place.iterdir() if (m := _ROUND.fullmatch(p.name)))
            lists[key] = [(str(p), _read(p, faults)) for _, p in files]
        else:
            lists[key] = [(str(place), batch) for batch in _nested(place, faults)]
    return {key: _new_ones(batches) for key, batches in lists.items() if batches}


def _new_ones(batches: Batches) -> Batches:
    """Return what each round added if the lists are cumulative; otherwise return the lists."""
    lists = [indices for _, indices in batches]
    if len(lists) < 2 or any(Counter(a) - Counter(b) for a, b in itertools.pairwise(lists)):
        return batches
    fresh = [lists[0]]
    for before, now in itertools.pairwise(lists):
        left = Counter(before)
        new = []
        for index in now:
            if left[index]:
                left[index] -= 1
            else:
                new.append(index)
        fresh.append(new)
    return [(file, new) for (file, _), new in zip(batches, fresh, strict=True)]


def _part(folder: Path, part: str, faults: list[Fault]) -> list[int] | None:
    paths = [p for kind in _KINDS if (p := folder / f"{part}{kind}").exists()]
    if len(paths) > 1:
        faults.append(Fault(str(folder), f"one list of {part} images", ", ".join(p.name for p in paths), "keep one"))
    return _read(paths[0], faults) if paths else None


def _read(path: Path, faults: list[Fault]) -> list[int]:
    try:
        if path.suffix == ".npy":
            array = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
            found = f"{array.dtype} of shape {array.shape}"
            value: object = [int(i) for i in array] if array.ndim == 1 and array.dtype.kind in "iu" else None
        elif path.suffix == ".json":
            value = json.loads(read_bytes(path))
            found = f"{type(value).__name__} that holds other values than whole numbers"
        else:
            value = [int(cell) for cell in re.split(r"[,;\s]+", read_bytes(path).decode("utf-8-sig").strip()) if cell]
            found = "a number outside that range"
        if _whole(value):
            return value
    except (OSError, ValueError, EOFError, RecursionError) as error:
        found = str(error)[:200]
    faults.append(
        Fault(
            str(path),
            "a list of whole numbers within ±(2**53 - 1), one per image",
            found,
            "write integers only, without a header",
        )
    )
    return []


def _nested(path: Path, faults: list[Fault]) -> list[list[int]]:
    try:
        value = json.loads(read_bytes(path))
    except (OSError, ValueError, RecursionError) as error:
        faults.append(Fault(str(path), "a JSON list of lists", str(error)[:200]))
        return []
    if isinstance(value, list) and all(_whole(batch) for batch in value):
        return value
    faults.append(Fault(str(path), "a list of lists of whole numbers, one list per round", type(value).__name__))
    return []


def _whole(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(
        isinstance(i, int) and not isinstance(i, bool) and abs(i) <= EXACT for i in value
    )


def _split(parts: dict[str, list[int] | None], lists: dict[tuple[str, int], Batches]) -> SplitEvidence | None:
    """Return the lists as a split.

    Without a list of the pool, the pool is all labelled images outside the other parts.
    """
    if parts["test"] is None:
        return None
    elsewhere = {*parts["test"], *(parts["validation"] or ())}
    labelled = {i for batches in lists.values() for _, batch in batches for i in batch}
    pool = parts["pool"] if parts["pool"] is not None else labelled - elsewhere
    arrays = [np.asarray(sorted(part), np.int64) for part in (pool, parts["validation"] or (), parts["test"])]
    return SplitEvidence(Split(*arrays))


def _partial(
    batches: Batches,
    protocol: Protocol,
    validation: list[int] | None,
    folder: Path,
    split: SplitEvidence | None,
    chosen: bool,
) -> Partial:
    placed: list[tuple[str, AnyEvent]] = []
    spent = owned = 0
    if validation is not None:
        spent = len(validation) if protocol.splits.validation_counted else 0
        placed.append(
            (
                f"{folder}/validation",
                LabelsEvent(purpose="validation", indices=tuple(validation), before=0, after=spent),
            )
        )
    for number, (file, batch) in enumerate(batches):
        purchase = LabelsEvent(
            purpose="query" if number else "initial",
            indices=tuple(batch),
            before=spent,
            after=spent + len(batch),
            chosen=chosen and not number,
        )
        spent, owned = spent + len(batch), owned + len(batch)
        query = tuple(batches[number + 1][1]) if number + 1 < len(batches) else ()
        placed += [(file, purchase), (file, known_round(number, spent, owned, {}, query))]
    placed.append((batches[-1][0], EndEvent(rounds=len(batches))))
    return Partial(batches[0][0], tuple(e for _, e in placed), tuple(p for p, _ in placed), split)
