"""Write study folders with simulated curves through the project's own record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from protocol.record.chain import open_record
from protocol.record.events import DataCard, EndEvent, FailureEvent, RoundEvent
from protocol.record.layout import StudyFolder
from protocol.spec.cards import SplitCard
from protocol.spec.data import Data
from protocol.spec.protocol import Model, Protocol
from protocol.spec.recipe import Optimizer, Regime
from protocol.spec.run_id import RunId
from protocol.spec.study import Plan, StrategySpec, Study
from tests.support.study_builder import first_event

BUDGETS = (20, 40, 80, 160)


def make_study(
    protocols: Iterable[str] = ("plain", "augmented"),
    strategies: Iterable[str] = ("random", "good", "bad"),
    seeds: int = 6,
    plan: Plan | None = None,
) -> Study:
    """Build a small study; protocols differ in root seed, hence in fingerprint."""
    made = tuple(
        Protocol(
            name=name,
            data=Data(name="digits"),
            budgets=BUDGETS,
            model=Model(name="small-cnn"),
            regime=Regime(name=name, steps=10, batch_size=8, optimizer=Optimizer(name="sgd", lr=0.1)),
            root_seed=i,
        )
        for i, name in enumerate(protocols)
    )
    specs = tuple(StrategySpec(name=s) for s in strategies)
    return Study(name="simulated", protocols=made, strategies=specs, seeds=tuple(range(seeds)), plan=plan or Plan())


def write_run(
    folder: StudyFolder,
    protocol: Protocol,
    strategy: StrategySpec,
    seed: int,
    accuracy: Iterable[float],
    end: str = "sealed",
) -> None:
    """Write one record with these accuracies; `end` is sealed, failed or open."""
    with open_record(folder.run(RunId(protocol.name, strategy.id, seed))) as (writer, _):
        split = SplitCard(digest="s", pool=80, validation=0, test=20_000, targets="t")
        data = DataCard(name="digits", digest="d", images=100, classes=10)
        writer.append(first_event(protocol, strategy, seed, split, data), sync=False)
        for i, (budget, value) in enumerate(zip(protocol.budgets, accuracy, strict=True)):
            event = RoundEvent(
                round=i,
                budget=budget,
                training_labels=budget,
                metrics={"accuracy": value, "balanced_accuracy": value / 2},
                steps=10,
                initial_weights="w",
                predictions="p",
                query=(i,) if i + 1 < len(protocol.budgets) else (),
                cost={"train_s": 9.0, "features_s": 0.5, "query_s": 0.25 * (i + 1), "peak_memory_mib": 200.0 + i},
            )
            writer.append(event, sync=False)
        if end == "sealed":
            writer.append(EndEvent(rounds=len(protocol.budgets)), sync=False)
        elif end == "failed":
            writer.append(FailureEvent(round=3, kind="ValueError", message="planted"), sync=False)


def curve(seed: int, gain: float) -> list[float]:
    """Return a rising curve with a shift per seed, shared by strategies, and a little noise of its own."""
    shared = np.random.default_rng(seed).normal(0, 0.02)
    own = np.random.default_rng([seed, int(abs(gain) * 1e4) + 1]).normal(0, 0.002, len(BUDGETS))
    return [float(0.9 - 0.5 * np.exp(-b / 60) + shared + gain + o) for b, o in zip(BUDGETS, own, strict=True)]


def write_study(path: Path, study: Study, gains: Mapping[str, float]) -> StudyFolder:
    """Write sealed records of the whole study."""
    folder = StudyFolder(path)
    folder.adopt(study)
    for protocol in study.protocols:
        for strategy in study.strategies:
            for seed in study.seeds:
                write_run(folder, protocol, strategy, seed, curve(seed, gains.get(strategy.id, 0.0)))
    return folder
