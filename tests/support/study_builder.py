"""Small valid study folders in pure numpy, written with the project's own writer and oracle, and ways to forge them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.digests import array_digest, sha256
from protocol.draws.seeds import generator, stream_seeds
from protocol.draws.splits import Split, make_split
from protocol.draws.trials import draw_held_out, draw_settings
from protocol.metrics import classification_metrics
from protocol.oracle.oracle import Oracle
from protocol.record.chain import Writer, open_record
from protocol.record.events import DataCard, EndEvent, RoundEvent, RunEvent, TrialEvent
from protocol.record.layout import RunFolder, StudyFolder, write_arrays
from protocol.spec.cards import SplitCard
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import StrategySpec, Study
from protocol.spec.toml_files import parse
from protocol.spec.tuning import HyperparameterSetting

IMAGES = 160
CLASSES = 3
TWINS = array_digest(np.arange(IMAGES), np.arange(IMAGES))
"""Digest of a sidecar in which no two images look alike."""
ENVIRONMENT = {
    "python": "3.12.1",
    "packages": {"numpy": "2.1"},
    "commit": "abc",
    "dirty": False,
    "device": "cpu",
    "threads": 1,
} | {
    "platform": "Linux x86_64",
    "device_name": "a processor",
}


def protocol_table(**changes: Any) -> dict[str, Any]:
    """Return a protocol as parsed from TOML, with every kind of part."""
    return {
        "name": "small",
        "data": {"name": "made-up"},
        "splits": {"test_size": 40, "validation_size": 6},
        "budgets": [16, 22, 30],
        "model": {"name": "none"},
        "regime": {"name": "plain", "steps": 5, "batch_size": 8, "optimizer": {"name": "sgd", "lr": 0.1}},
    } | changes


def study_table(**changes: Any) -> dict[str, Any]:
    """Return a study of one protocol, random and two other strategies, and two seeds."""
    return {
        "name": "small-study",
        "protocols": [protocol_table()],
        "strategies": [{"name": "random"}, {"name": "first"}, {"name": "last"}],
        "seeds": [0, 1],
    } | changes


def make_study(**changes: Any) -> Study:
    """Return `study_table` as a Study."""
    return parse(Study, study_table(**changes), "study")


def obedient_study(**changes: Any) -> Study:
    """Return `make_study` with a reachable test and declared tuning, as a compliant study needs."""
    tuned = [{"name": "random"}, {"name": "first", "tuning": 2}, {"name": "last", "tuning": 2}]
    return make_study(**({"plan": {"test": "t"}, "strategies": tuned} | changes))


def make_labels() -> NDArray[np.int64]:
    """Return the classes of all images, shape (IMAGES,)."""
    return np.random.default_rng(5).integers(0, CLASSES, IMAGES)


def build_study(path: Path, study: Study | None = None, *, probabilities: bool = False) -> StudyFolder:
    """Write a finished, compliant study; with `probabilities`, also calibration metrics."""
    study = study or obedient_study()
    folder = StudyFolder(path)
    folder.adopt(study)
    for protocol in study.protocols:
        for strategy in study.strategies:
            for seed in study.seeds:
                build_run(folder, study, protocol, strategy, seed, probabilities=probabilities)
    return folder


def build_run(
    folder: StudyFolder,
    study: Study,
    protocol: Protocol,
    strategy: StrategySpec,
    seed: int,
    *,
    probabilities: bool = False,
) -> RunFolder:
    """Write one finished run."""
    labels, split = make_labels(), make_split(protocol, seed, IMAGES, 0)
    targets = labels[split.test]
    card = write_split(folder, split, targets)
    write_arrays(folder.twins(array_digest(make_labels())), {"content": np.arange(IMAGES), "look": np.arange(IMAGES)})
    run = folder.run(RunId(protocol.name, strategy.id, seed))
    with open_record(run) as (writer, _):
        writer.append(first_event(protocol, strategy, seed, card, study=study.fingerprint))
        oracle = Oracle(protocol, seed, split, labels, writer.append)
        oracle.start()
        _rounds(writer, run, oracle, protocol, strategy, seed, targets, probabilities)
    return run


DATA = DataCard(name="made-up", digest=array_digest(make_labels()), images=IMAGES, classes=CLASSES, twins=TWINS)


def first_event(
    protocol: Protocol, strategy: StrategySpec, seed: int, split: SplitCard, data: DataCard = DATA, study: str = ""
) -> RunEvent:
    """Return the first event of a record; `study` is the study's fingerprint."""
    return RunEvent(
        protocol=protocol,
        fingerprint=protocol.fingerprint,
        study=study,
        strategy=strategy,
        replicate=seed,
        seeds=dict(stream_seeds(protocol.root_seed, seed)),
        data=data,
        split=split,
        environment=ENVIRONMENT,
    )


def split_card(split: Split, targets: NDArray[Any]) -> SplitCard:
    """Return the card of a split; `targets` are the labels or class counts of the test images."""
    sizes = {"pool": len(split.pool), "validation": len(split.validation), "test": len(split.test)}
    return SplitCard(digest=split.digest, targets=array_digest(targets), **sizes)


def write_split(folder: StudyFolder, split: Split, targets: NDArray[Any]) -> SplitCard:
    """Write the split's file, and return its card."""
    arrays = {"pool": split.pool, "validation": split.validation, "test": split.test, "targets": targets}
    write_arrays(folder.split(split.digest), arrays)
    return split_card(split, targets)


def _rounds(
    writer: Writer,
    run: RunFolder,
    oracle: Oracle,
    protocol: Protocol,
    strategy: StrategySpec,
    seed: int,
    targets: NDArray[np.int64],
    probabilities: bool,
) -> None:
    for number, budget in enumerate(protocol.budgets):
        rng = generator(protocol.root_seed, "query", seed, number)
        predicted = np.where(rng.random(len(targets)) < 0.5 + 0.1 * number, targets, (targets + 1) % CLASSES)
        table = log_table(predicted) if probabilities else None
        setting = _tuned(writer, protocol, oracle, seed, number)
        tuned = protocol.with_setting(setting) if setting else None
        steps = tuned.regime.max_steps(protocol.training_labels[number]) if tuned else 5
        query = np.empty(0, np.int64)
        if number + 1 < len(protocol.budgets):
            query = select_units(strategy.name, oracle.unlabelled, protocol.budgets[number + 1] - budget, rng)
        writer.append(
            RoundEvent(
                round=number,
                budget=budget,
                training_labels=len(oracle.labelled),
                metrics=oracle.examine(predicted, table),
                steps=steps,
                **_weights(protocol, strategy, seed, number),
                recipe=(tuned or protocol).recipe,
                setting=setting,
                predictions=run.write_predictions(number, predicted, table),
                probabilities="" if table is None else array_digest(table),
                validation={"accuracy": 0.5},
                examined=oracle.examinations,
                extra={"selected_step": float(steps)},
                query=tuple(query.tolist()),
                cost={"train_s": 0.25},
            )
        )
        if len(query):
            oracle.buy(query)
    writer.append(EndEvent(rounds=len(protocol.budgets)))


def _tuned(writer: Writer, protocol: Protocol, oracle: Oracle, seed: int, number: int) -> HyperparameterSetting:
    """Write the round's trials and return the best setting. Later trials score higher, except the last, which fails."""
    tuning = protocol.regime.tuning
    if tuning is None:
        return {}
    at = tuning.round_of(number)
    settings = draw_settings(protocol.regime, protocol.root_seed, seed, at)
    apart = draw_held_out(protocol.regime, protocol.root_seed, seed, at, oracle.labelled)
    scored_on = array_digest(np.sort(apart if len(apart) else oracle.validation()[0]))
    for trial, setting in enumerate(settings if at == number else ()):
        tuned, failed = protocol.with_setting(setting), trial + 1 == len(settings)
        writer.append(
            TrialEvent(
                round=number,
                trial=trial,
                setting=setting,
                validation={} if failed else {"accuracy": 0.25 + trial / 16},
                failed="the weights were not finite" if failed else "",
                scored_on=scored_on,
                initial_weights="" if failed else sha256(f"weights {seed}".encode()),
                recipe=tuned.recipe,
                steps=0 if failed else tuned.regime.max_steps(protocol.training_labels[number]),
                examined=oracle.examinations,
            )
        )
    return settings[-2]


def _weights(protocol: Protocol, strategy: StrategySpec, seed: int, number: int) -> dict[str, Any]:
    if protocol.regime.start == "reset":
        return {"initial_weights": sha256(f"weights {seed}".encode())}
    before, after = (sha256(f"weights {strategy.id} {seed} {k}".encode()) for k in (number - 1, number))
    return {"initial_weights": before if number else sha256(f"weights {seed}".encode()), "final_weights": after}


def log_table(predicted: NDArray[np.int64]) -> NDArray[np.float16]:
    """Return log-probabilities under which each prediction is the most probable class, shape (n, CLASSES)."""
    others = 2.0 + np.random.default_rng(9).random((len(predicted), CLASSES))
    return np.where(np.arange(CLASSES) == predicted[:, None], -0.25, -others).astype(np.float16)


def select_units(name: str, unlabelled: NDArray[np.int64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    if name == "first":
        return unlabelled[:n]
    if name == "last":
        return unlabelled[-n:]
    return rng.choice(unlabelled, n, replace=False)


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the events of a record as plain data."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def rounds(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events of the rounds, in order."""
    return [event for event in events if event["event"] == "round"]


def purchases(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events of label purchases by queries, in order."""
    return [event for event in events if event["event"] == "labels" and event["purpose"] == "query"]


def predict_otherwise(run: RunFolder, change: Callable[[NDArray[np.int64], NDArray[np.int64]], Any]) -> None:
    """Alter the predictions of all rounds by `change(predicted, targets)`, with matching digests and metrics."""
    events = lines(run.events)
    targets = make_labels()[
        make_split(parse(Protocol, events[0]["protocol"], "p"), events[0]["replicate"], IMAGES, 0).test
    ]
    told = []
    for number, _ in enumerate(e for e in events if e["event"] == "round"):
        with np.load(run.predictions(number)) as arrays:
            predicted = arrays["prediction"].astype(np.int64)
        change(predicted, targets)
        told.append(
            {
                "predictions": run.write_predictions(number, predicted),
                "metrics": classification_metrics(predicted, targets),
            }
        )
    rewrite(run.events, lambda e: [x.update(told[x["round"]]) for x in e if x["event"] == "round"])


def rewrite(path: Path, edit: Callable[[list[dict[str, Any]]], Any], *, rechain: bool = True) -> None:
    """Edit a record in place; with `rechain`, also correct sequence numbers and hashes.

    An event that is inserted without a time gets that of the event before it.
    """
    events = lines(path)
    edit(events)
    for before, event in itertools.pairwise(events):
        event.setdefault("time", before.get("time", ""))
    out: list[bytes] = []
    for number, event in enumerate(events):
        place = {"seq": number, "prev": sha256(out[-1]) if out else ""} if rechain else {}
        out.append(json.dumps(event | place, sort_keys=True, separators=(",", ":")).encode())
    path.write_bytes(b"".join(line + b"\n" for line in out))
