"""Equal comparisons have equal fingerprints, whatever they are called; any other difference shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from protocol.digests import array_digest, canonical_json
from protocol.errors import InputError
from protocol.spec.protocol import Protocol
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from tests.support.study_builder import make_study, protocol_table, study_table

NAMES_ONLY = {"name", "title", "source", "provenance", "reference", "data.encoder.weights", "data.encoder.trained_on"}
"""Of an encoder's files the digests count, not where they lie."""


MAPS_ONLY: dict[str, Any] = {"zoom": None, "crop": None, "colour": 0.0}
"""Augmentation that only segmentation knows, as classification has it."""


def full_table() -> dict[str, Any]:
    """A protocol with a value at every leaf."""
    regime: dict[str, Any] = {
        "name": "augmented",
        "method": "uda",
        "steps": 5,
        "epochs": None,
        "batch_size": 8,
        "optimizer": {
            "name": "sgd",
            "lr": 0.1,
            "momentum": 0.9,
            "nesterov": True,
            "weight_decay": 0.001,
            "schedule": "cosine",
        },
        "augmentation": {"flip": True, "shift": 2, "rand_augment": {"ops": 2, "magnitude": 9.0}, "cutout": 3},
        "label_smoothing": 0.1,
        "selection": "best-validation",
        "validate_every": 2,
        "precision": "float32",
        "ema_decay": 0.9,
        "swa": None,
        "epoch_at_least": None,
        "stop_at": None,
        "imbalance": "none",
        "start": "reset",
        "semi": {
            "unlabelled_batch": 9,
            "weight": 2.0,
            "ramp_steps": 4,
            "threshold": 0.8,
            "temperature": 0.5,
            "tsa": "exp",
        },
    }
    regime["semi"]["strong"] = {"flip": False, "shift": 1, "rand_augment": {"ops": 1, "magnitude": 3.0}, "cutout": 5}
    regime["semi"]["discriminator"] = None
    for augmentation in (regime["augmentation"], regime["semi"]["strong"]):
        augmentation.update(MAPS_ONLY)
    regime["optimizer"]["warmup_steps"] = 1
    regime["solver"] = None
    regime["pretraining"] = {
        "then": "fine-tune",
        "self_supervised": {
            "method": "simclr",
            "epochs": 3,
            "batch_size": 32,
            "optimizer": dict(regime["optimizer"]),
            "views": {"flip": True, "least_area": 0.4, "jitter": 0.6, "grey": 0.3},
            "temperature": 0.25,
            "hidden": 48,
            "projection": 24,
        },
        "weights": None,
        "weights_digest": None,
    }
    blank = dict.fromkeys(("low", "high", "choices")) | {"scale": "linear"}
    space = {
        "batch_size": blank | {"choices": [4, 8]},
        "label_smoothing": blank | {"low": 0.01, "high": 0.5, "scale": "log"},
    }
    regime["tuning"] = {"policy": "every-round", "trials": 4, "held_out": None, "space": space}
    encoder = {
        "name": "a.py:f",
        "weights": "w",
        "size": 8,
        "trained_on": "t",
        "weights_digest": "d",
        "source_digest": "s",
    }
    return {
        "name": "full",
        "title": "t",
        "source": "s",
        "provenance": {"budgets": "our choice: small"},
        "reference": None,
        "task": "classification",
        "data": {
            "name": "made-up",
            "path": "a",
            "digest": "d",
            "resolution": 8,
            "size": [24, 32],
            "construction": None,
            "encoder": encoder,
        },
        "splits": {
            "test_size": 40,
            "validation_size": 6,
            "validation_counted": True,
            "initial": "random",
            "pool_size": 90,
        },
        "budgets": [16, 22, 30],
        "model": {"name": "none", "width": 8, "dropout": 0.1},
        "regime": regime,
        "metric": "accuracy",
        "labelling": None,
        "root_seed": 0,
        "label_noise": 0.2,
    }


ALTERNATIVES: dict[str, Any] = {
    "labelling": None,  # is of masks, see below
    "task": None,  # goes with a metric of its own, see below
    **{f"regime.{part}.{name}": None for part in ("augmentation", "semi.strong") for name in MAPS_ONLY},  # so do these
    "regime.method": ("supervised", {"semi": None}),
    "regime.semi.tsa": "log",
    "regime.semi.discriminator": None,  # is of masks, see the tests of s4gan
    "regime.swa": (
        {"start": 0.5, "lr": 0.1, "every": 3},
        {"ema_decay": None, "selection": "last", "validate_every": None},
    ),
    "data.construction": {"long_tail": 50.0},
    "regime.epoch_at_least": (90, {"steps": None, "epochs": 2}),
    "regime.stop_at": (0.9, {"method": "supervised", "semi": None}),
    "regime.imbalance": "weighted-loss",
    "regime.start": "warm",
    "regime.solver": None,  # instead of steps: test_solver.py
    "reference": {"source": "a paper", "values": {"22": 0.5}},
    "splits.initial": "balanced",
    "regime.optimizer.schedule": "constant",
    "regime.selection": ("last", {"validate_every": None}),
    "regime.optimizer.name": ("adam", {"momentum": 0.0, "nesterov": False}),
    "regime.epochs": (2, {"steps": None}),
    "regime.precision": "bfloat16",
    "regime.pretraining.weights": None,  # instead of self_supervised, see the tests of given weights
    "regime.pretraining.weights_digest": None,
    "regime.pretraining.then": ("linear-probe", {}),
    "regime.pretraining.self_supervised.method": ("simsiam", {"temperature": None}),
    "regime.pretraining.self_supervised.optimizer.name": ("adam", {"momentum": 0.0, "nesterov": False}),
    "regime.pretraining.self_supervised.optimizer.schedule": "constant",
    "metric": "balanced_accuracy",
    "regime.tuning.policy": "starting-set",
    "regime.tuning.held_out": None,  # excludes validation labels, see the tests of tuning
    "regime.tuning.space.batch_size.low": None,  # excludes choices
    "regime.tuning.space.batch_size.high": None,
    "regime.tuning.space.batch_size.scale": None,
    "regime.tuning.space.label_smoothing.scale": None,
    "regime.tuning.space.label_smoothing.choices": None,
}


def leaves(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and key != "provenance":
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if isinstance(value, int) else value / 2
    if isinstance(value, list):
        return [*value[:-1], value[-1] + 1]
    return {**value, "x": "y"} if isinstance(value, dict) else value + "x"


def changed(path: str, value: Any) -> dict[str, Any]:
    table = full_table()
    *parents, last = path.split(".")
    spot = table
    for parent in parents:
        spot = spot[parent]
    alternative = ALTERNATIVES[path] if path in ALTERNATIVES else other(value)
    alternative, along = alternative if isinstance(alternative, tuple) else (alternative, {})
    spot[last] = alternative
    spot.update(along)
    if path == "regime.pretraining.then":  # embeddings have neither augmentation nor a second view
        table["regime"] |= {"augmentation": {}, "method": "supervised", "semi": None}
    return table


def test_the_table_has_every_leaf_of_the_specification() -> None:
    """A field added later must be added to `full_table`, or it would escape the walk below."""
    assert parse(Protocol, full_table(), "p").model_dump(mode="json") == full_table()


@pytest.mark.parametrize(
    ("path", "value"), [leaf for leaf in leaves(full_table()) if ALTERNATIVES.get(leaf[0], 0) is not None]
)
def test_every_leaf_but_names_changes_the_fingerprint(path: str, value: Any) -> None:
    before = parse(Protocol, full_table(), "p").fingerprint
    after = parse(Protocol, changed(path, value), "p").fingerprint
    assert (after == before) == (path in NAMES_ONLY)


def test_of_fields_that_came_later_only_those_used_are_in_the_fingerprint() -> None:
    kept = parse(Protocol, full_table(), "p").regime.fingerprint_content()
    assert not {"epoch_at_least", "stop_at", "imbalance", "swa", "start", "solver"} & set(kept)
    assert {"ema_decay", "semi"} <= set(kept)


def test_what_only_segmentation_knows_is_in_its_fingerprint() -> None:
    regime = {"name": "plain", "steps": 5, "batch_size": 8, "optimizer": {"name": "sgd", "lr": 0.1}}
    table = protocol_table(task="segmentation", metric="mean_iou")

    def of(**augmentation: Any) -> str:
        return parse(Protocol, table | {"regime": regime | {"augmentation": augmentation}}, "p").fingerprint

    others = [of(zoom=[0.5, 2.0]), of(zoom=[0.5, 1.0]), of(crop=8), of(colour=0.1), of(flip=True)]
    tiles: dict[str, Any] = {"unit": "tile", "tile": [4, 8]}
    labelling = [
        tiles,
        tiles | {"tile": [8, 4]},
        tiles | {"cost": "pixel"},
        tiles | {"cost": "click"},
        {"cost": "pixel"},
    ]
    labelling += [
        {"unit": "superpixel", "superpixels": 8},
        {"unit": "superpixel", "superpixels": 8, "compactness": 1.0},
    ]
    table = protocol_table(task="segmentation", metric="mean_iou", splits={"test_size": 40})
    others += [parse(Protocol, table | {"labelling": each}, "p").fingerprint for each in labelling]
    others += [
        parse(Protocol, table | {"metric": "pixel_accuracy"}, "p").fingerprint,
        parse(Protocol, protocol_table(), "p").fingerprint,
    ]
    assert len({of(), *others}) == len(others) + 1


def test_golden_fingerprints() -> None:
    """A change here makes every existing record another comparison: raise the version tags instead."""
    assert (
        parse(Protocol, protocol_table(), "p").fingerprint
        == "eebf7b0c8e68829a5b30d93e2e62eff39e31fc54020a5a52e87efe788a380fe9"
    )
    assert make_study().fingerprint == "fc2ee468c2122409327fc504feb1ed8191a6d43efaf8ed8346fb236d28c90658"


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": [0, 2]},
        {"seeds": [1, 0]},
        {"strategies": [{"name": "random"}, {"name": "first"}]},
        {"strategies": [{"name": "random"}, {"name": "first", "args": {"k": 1}}, {"name": "last"}]},
        {"plan": {"delta": 0.02}},
        {"plan": {"alpha": 0.01}},
        {"plan": {"test": "t"}},
        {"plan": {"family": "strategies"}},
        {"plan": {"correction": "hommel"}},
        {"plan": {"secondary": ["final"]}},
        {"plan": {"at_budgets": [22]}},
        {"plan": {"looks": [2]}},
        {"protocols": [protocol_table(root_seed=1)]},
        {"protocols": [protocol_table(name="renamed")]},
    ],
)
def test_what_a_study_plans_is_in_its_fingerprint(changes: dict[str, Any]) -> None:
    assert parse(Study, study_table(**changes), "s").fingerprint != make_study().fingerprint


def test_the_way_alpha_is_spent_is_planned_with_the_looks() -> None:
    spent = [make_study(plan={"looks": [2], "spending": s}).fingerprint for s in ("obrien-fleming", "pocock")]
    assert spent[0] != spent[1]
    assert (
        make_study(plan={"spending": "pocock"}).fingerprint == make_study().fingerprint
    )  # without looks it means nothing


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({"looks": [1, 2]}, "greater than or equal to 2"),
        ({"looks": [3, 2]}, "strictly increasing"),
        ({"looks": [2, 3]}, "all 2 seeds"),
        ({"at_budgets": [23]}, "budgets of small"),
        ({"delta": 1.0}, "below 1"),
    ],
)
def test_a_plan_that_does_not_fit_its_study_is_refused(plan: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        make_study(plan=plan)


def test_a_studys_own_name_is_not() -> None:
    assert make_study(name="renamed").fingerprint == make_study().fingerprint


def test_order_of_keys_does_not_matter_and_int_is_float_where_float_is_meant() -> None:
    table = protocol_table()
    table["regime"] = dict(reversed(table["regime"].items())) | {"optimizer": {"lr": 1, "name": "sgd"}}
    same = protocol_table()
    same["regime"] = same["regime"] | {"optimizer": {"name": "sgd", "lr": 1.0}}
    assert parse(Protocol, table, "p").fingerprint == parse(Protocol, same, "p").fingerprint


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, {1: 2}])
def test_what_is_not_canonical_json_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not canonical JSON"):
        canonical_json(value)


def test_array_digest_sees_type_shape_order_and_not_byte_order() -> None:
    a = np.array([1, 2, 3], np.int64)
    assert array_digest(a) == array_digest(a.astype(">i8")) == array_digest(np.array([1, 9, 2, 9, 3, 9], np.int64)[::2])
    different: list[np.ndarray] = [a.astype(np.int32), a[::-1], a.reshape(3, 1), np.array([1, 2], np.int64)]
    assert len({array_digest(a), *(array_digest(d) for d in different)}) == 5
    assert array_digest(a[:1], a[1:]) != array_digest(a[:2], a[2:])
