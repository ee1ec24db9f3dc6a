"""Records of budgets in pixels: an honest run obeys every rule, and every forgery is detected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.digests import array_digest, sha256
from protocol.draws.seeds import generator
from protocol.draws.splits import make_split
from protocol.metrics import segmentation_metrics, targets_of
from protocol.oracle.oracle import Oracle
from protocol.record.chain import open_record
from protocol.record.events import DataCard, EndEvent, RoundEvent
from protocol.record.layout import StudyFolder, predictions_digest, write_arrays
from protocol.rules import check_study
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import StrategySpec, Study
from protocol.spec.units import PricedUnits, tiled
from tests.support.study_builder import (
    first_event,
    make_study,
    protocol_table,
    purchases,
    rewrite,
    rounds,
    select_units,
    write_split,
)

N, TEST, CLASSES = 12, 4, 3
MASKS = np.random.default_rng(3).integers(0, CLASSES, (N + TEST, 5, 7)).astype(np.uint8)
DIVISION = tiled(N, 5, 7, (3, 4))  # tiles of 12, 9, 8 and 6 pixels
UNITS = DIVISION.units
ALONE = np.arange(N + TEST)
"""Groups of images when no two look alike."""

DATA = DataCard(
    name="made-up",
    digest=array_digest(MASKS),
    images=N + TEST,
    classes=CLASSES,
    twins=array_digest(ALONE, ALONE),
    units=UNITS.digest,
)

Lines = list[dict[str, Any]]


def a_study(cost: str) -> Study:
    table = protocol_table(
        task="segmentation",
        metric="mean_iou",
        data={"name": "made-up", "digest": array_digest(MASKS)},
        splits={"validation_size": 0},
        budgets=[30, 60, 90] if cost != "label" else [3, 6, 9],
        labelling={"unit": "tile", "tile": [3, 4], "cost": cost},
    )
    return make_study(
        protocols=[table], strategies=[{"name": "random"}, {"name": "first", "tuning": 0}], plan={"test": "t"}
    )


def build(path: Path, cost: str = "pixel") -> StudyFolder:
    study, folder = a_study(cost), StudyFolder(path)
    folder.adopt(study)
    write_arrays(folder.units(UNITS.digest), {"first": UNITS.first, "pixels": UNITS.pixels, "maps": UNITS.map_bytes})
    write_arrays(folder.twins(array_digest(MASKS)), {"content": ALONE, "look": ALONE})
    for strategy in study.strategies:
        for seed in study.seeds:
            _run(folder, study, study.protocols[0], strategy, seed)
    return folder


def _run(folder: StudyFolder, study: Study, protocol: Protocol, strategy: StrategySpec, seed: int) -> None:
    split = make_split(protocol, seed, N, TEST)
    targets = targets_of(MASKS[split.test], CLASSES)
    card = write_split(folder, split, targets)
    price = (lambda units: UNITS.pixels[units]) if protocol.metered else (lambda units: np.ones(len(units), np.int64))
    run = folder.run(RunId(protocol.name, strategy.id, seed))
    with open_record(run) as (writer, _):
        writer.append(first_event(protocol, strategy, seed, card, DATA, study.fingerprint))
        oracle = Oracle(
            protocol, seed, split, MASKS, writer.append, classes=CLASSES, units=PricedUnits(DIVISION, price)
        )
        oracle.start()
        for k, budget in enumerate(protocol.budgets):
            rng = generator(protocol.root_seed, "query", seed, k)
            counts = oracle.examine_maps(rng.integers(0, CLASSES, (TEST, 5, 7)))
            run.write_sidecar(k, {"confusion": counts})
            query = np.empty(0, np.int64)
            if k + 1 < len(protocol.budgets):
                n = oracle.affordable(protocol.budgets[k + 1])
                query = select_units(strategy.name, oracle.unlabelled, n, rng)
            writer.append(
                RoundEvent(
                    round=k,
                    budget=budget,
                    training_labels=len(oracle.labelled),
                    metrics=segmentation_metrics(counts),
                    steps=5,
                    initial_weights=sha256(f"weights {seed}".encode()),
                    recipe=protocol.recipe,
                    predictions=predictions_digest(counts),
                    examined=oracle.examinations,
                    extra={"selected_step": 5.0},
                    query=tuple(query.tolist()),
                )
            )
            if k + 1 < len(protocol.budgets):
                oracle.buy(query)
        writer.append(EndEvent(rounds=len(protocol.budgets)))


def fired(folder: StudyFolder, answer: str) -> set[str]:
    return {r.rule.id for r in check_study(folder.path).results if r.answer == answer}


@pytest.mark.parametrize("cost", ["pixel", "label"])
def test_an_honest_study_is_compliant(tmp_path: Path, cost: str) -> None:
    assert check_study(build(tmp_path / "study", cost).path).findings == ()


def test_what_clicks_come_to_cannot_be_verified(tmp_path: Path) -> None:
    folder = build(tmp_path / "study", "click")  # whatever they were, here as many as pixels
    assert (fired(folder, "broken"), fired(folder, "unverifiable")) == (set(), {"BUD-07"})


def discount(events: Lines) -> None:
    first, second = purchases(events)
    first["costs"][0] -= 1
    first["after"] -= 1
    second["before"] -= 1
    second["after"] -= 1


def overrun(events: Lines) -> None:
    """Buy one more region at its price, past the budget."""
    first, second = purchases(events)
    extra = rounds(events)[0]["query"][len(first["indices"])]
    price = int(UNITS.pixels[extra])
    first["indices"].append(extra)
    first["costs"].append(price)
    for event, key in ((first, "after"), (second, "before"), (second, "after")):
        event[key] += price
    for event in rounds(events)[1:]:
        event["training_labels"] += 1


def stop_early(events: Lines) -> None:
    """Leave out the last region, though there was budget for it."""
    last = purchases(events)[-1]
    last["indices"].pop()
    last["after"] -= last["costs"].pop()
    rounds(events)[-1]["training_labels"] -= 1


def skip(events: Lines) -> None:
    """Skip a region and buy the next one."""
    last = purchases(events)[-1]
    for key in ("indices", "costs"):
        last[key][:2] = last[key][1::-1]


def another_start(events: Lines) -> None:
    """Buy regions of the same size elsewhere in the pool."""
    bought = {i for e in events if e["event"] == "labels" for i in e["indices"]}
    initial, query = next(e for e in events if e["event"] == "labels")["indices"], rounds(events)[0]["query"]
    initial[0] = next(u for u in range(4 * N) if u not in bought and u % 4 == initial[0] % 4 and u not in query)


@pytest.mark.parametrize(
    ("change", "broken", "unverifiable"),
    [
        (discount, "BUD-07", ""),
        (overrun, "BUD-01 BUD-03", ""),
        (stop_early, "QRY-02", ""),
        (skip, "QRY-02", ""),
        (another_start, "SED-02 SED-03", ""),
        (lambda e: purchases(e)[0].update(costs=[]), "BUD-02 BUD-07", ""),
        (lambda e: purchases(e)[0]["indices"].__setitem__(0, 4 * N), "BUD-04 BUD-07 QRY-02", ""),
        (lambda e: rounds(e)[1].update(training_labels=1), "BUD-02", ""),
        (lambda e: e[0]["data"].update(units=""), "SPL-05", "BUD-04 BUD-07 SED-03"),
    ],
)
def test_what_a_forger_changes_is_found(
    tmp_path: Path, change: Callable[[Lines], object], broken: str, unverifiable: str
) -> None:
    folder = build(tmp_path / "study")
    rewrite(folder.run(RunId("small", "first", 1)).events, change)
    assert (fired(folder, "broken"), fired(folder, "unverifiable")) == (set(broken.split()), set(unverifiable.split()))


def test_other_images_than_planned_are_found_and_those_planned_are_not(tmp_path: Path) -> None:
    folder = build(tmp_path / "study")
    assert fired(folder, "broken") == set()
    for strategy in ("random", "first"):
        for seed in (0, 1):
            rewrite(folder.run(RunId("small", strategy, seed)).events, lambda e: e[0]["data"].update(digest="0" * 64))
    assert "SPL-05" in fired(folder, "broken")


def test_regions_that_were_altered_are_not_believed(tmp_path: Path) -> None:
    folder = build(tmp_path / "study")
    write_arrays(
        folder.units(UNITS.digest), {"first": UNITS.first, "pixels": UNITS.pixels + 1, "maps": UNITS.map_bytes}
    )
    assert fired(folder, "unverifiable") == {"BUD-04", "BUD-07", "SED-03"}
