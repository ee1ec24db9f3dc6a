"""Inputs of any size for every figure, without records on disk."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.figures import VENUES, FigureInputs
from analysis.loading.curves import COLUMNS, COST_COLUMNS, Curves
from analysis.loading.extract import BIN_COLUMNS
from analysis.secondary.changed_predictions import ClassChange, MapChange, Turned
from analysis.secondary.purchases import Classes, Purchases, Query, Sheet
from analysis.verdict.decide import compare
from protocol.spec.run_id import RunId
from protocol.spec.study import Plan

BUDGETS = (100, 200, 400, 800)
IMAGES, CLASSES = 400, 10


def strategy_names(k: int, long: bool = False) -> list[str]:
    """Return random and k other names; long names differ only at their ends."""
    tail = "_with_a_rather_long_name_and_temperature=" if long else "-strategy-"
    return ["random", *(f"own{tail}{i}" for i in range(k))]


def make_inputs(
    k: int,
    datasets: Sequence[str] = ("one",),
    regimes: Sequence[str] = ("plain",),
    seeds: int = 6,
    long: bool = False,
    venue: str = "plain",
) -> FigureInputs:
    """Simulate random and k strategies, each 0.006 better than the last, under every data set and regime."""
    rng = np.random.default_rng([k, seeds, len(datasets), len(regimes)])
    names = strategy_names(k, long)
    rows, costs, bins, bought, planned, places, classes = [], [], [], {}, [], {}, {}
    for dataset in datasets:
        labels = rng.integers(0, CLASSES, IMAGES)
        for level, regime in enumerate(regimes):
            protocol = f"{dataset}/{regime}"
            places[protocol] = (dataset, regime)
            classes[protocol] = Classes(labels, tuple(f"class {c}" for c in range(CLASSES)))
            shared = rng.normal(0, 0.02, seeds)
            for i, name in enumerate(names):
                for seed in range(seeds):
                    key = RunId(protocol, name, seed)
                    planned.append(key)
                    bought[key] = rng.choice(IMAGES // 2 + 10 * i if i % 2 else IMAGES, 120, replace=False)
                    for bin_ in range(4, 15):  # no random draw here, so that the other figures keep theirs
                        images, sure = 30.0 + 5 * bin_, (bin_ + 0.5) / 15
                        bins.append(
                            (
                                protocol,
                                name,
                                seed,
                                BUDGETS[-1],
                                bin_,
                                images,
                                images * sure,
                                images * (sure - 0.15 * (1 - sure) * (i - k / 2) / k),
                            )
                        )
                    for step, budget in enumerate(BUDGETS):
                        gain = 0.006 * (i - k / 2) * (i > 0) * (step > 0)
                        value = (
                            0.9
                            - 0.5 * np.exp(-budget / 300)
                            + 0.03 * level
                            + shared[seed]
                            + gain
                            + rng.normal(0, 0.004 * (step > 0))
                        )
                        values = {"accuracy": value, "ece": 0.2 - value / 5, "brier": 1 - value, "nll": 2 - 2 * value}
                        values |= {
                            f"iou_{c}": value**c for c in (1, 2, 4)
                        }  # like a segmentation in which class 3 does not occur
                        for metric, v in values.items():
                            rows.append(("made-up", protocol, dataset, regime, name, seed, budget, metric, v))
                        if step < 3:
                            costs.append((protocol, name, seed, budget, 0.01 * 2.0 ** (i % 7), 200.0))
    curves = Curves(
        frame=pd.DataFrame(rows, columns=list(COLUMNS)),
        study="made-up",
        plan=Plan(),
        exploratory=False,
        planned=tuple(planned),
        missing=(),
        metrics=dict.fromkeys(places, "accuracy"),
        places=places,
        costs=pd.DataFrame(costs, columns=list(COST_COLUMNS)),
        bought=bought,
        reliability=pd.DataFrame(bins, columns=list(BIN_COLUMNS)),
    )
    sheets = tuple(sheet(p, name, i) for p in places for i, name in enumerate(names))
    changes = [
        (map_change if p == next(iter(places)) else class_change)(p, name, i)
        for p in places
        for i, name in enumerate(names)
    ]
    return FigureInputs(
        curves, compare(curves), Purchases(classes, sheets=sheets, changes=tuple(changes)), VENUES[venue]
    )


def map_change(protocol: str, strategy: str, number: int) -> MapChange:
    """Return maps of a square on a background, with predictions that depend on the strategy's number."""
    pixels = np.full((3, 12, 16, 3), 90, dtype=np.uint8)
    truth = np.zeros((3, 12, 16), dtype=np.uint8)
    truth[:, :, :2] = 255
    for i in range(3):
        pixels[i, 3:9, 4 + i : 10 + i] = (200, 60, 90 * i)
        truth[i, 3:9, 4 + i : 10 + i] = 1 + i
    before, after = np.roll(truth, 3, 2) % 7, np.roll(truth, -1 - number % 2, 1) % 7
    after[:, 6:, 12:] = 4
    return MapChange(protocol, strategy, 0, (BUDGETS[0], BUDGETS[-1]), (3, 20, 31), pixels, truth, before, after)


def class_change(protocol: str, strategy: str, number: int) -> ClassChange:
    """Return images of stripes, of which fewer became wrong than there are places."""

    def turned(count: int, shown: int, right: int) -> Turned:
        pixels = np.full((shown, 12, 12, 1), 60, dtype=np.uint8)
        for i in range(shown):
            pixels[i, :, (3 * i + number) % 12] = 220
        pairs = ((number + i) % CLASSES for i in range(shown))
        return Turned(count, tuple(range(shown)), pixels, tuple((c, 9) if right else (9, c) for c in pairs))

    budgets = (BUDGETS[0], BUDGETS[-1])
    return ClassChange(protocol, strategy, 0, budgets, 200, turned(40 + number, 4, 1), turned(2, 2, 0), 5)


def sheet(protocol: str, strategy: str, number: int) -> Sheet:
    """Return images with one stripe each, whose place and class depend on the strategy's number."""
    pixels = np.full((6, 12, 16, 3), 90, dtype=np.uint8)
    masks = np.full((6, 12, 16), number % CLASSES, dtype=np.uint8)
    for i in range(6):
        pixels[i, :, (2 * i + number) % 16] = (200, 60, 20 * i)
        masks[i, 6:] = (number + i) % CLASSES
    queries = tuple(Query(a, b, tuple(range(6)), pixels, masks) for a, b in itertools.pairwise(BUDGETS))
    return Sheet(protocol, strategy, 0, queries)
