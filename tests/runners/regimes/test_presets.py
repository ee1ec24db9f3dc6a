"""The presets that ship: each value with its origin, and sizes that run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from protocol.reading import preset, preset_names
from protocol.splits import make_split
from runners.datasets import CARDS, Images
from runners.models import build
from runners.regimes import METHODS

TWINS = [name.removesuffix("-plain") for name in preset_names() if name.endswith("-plain")]
LUETH = {"cifar10-low-plain", "cifar10-low-augmented", "cifar10-high-plain", "cifar10-high-augmented"}


def leaves(table: dict[str, Any], prefix: str = "") -> list[str]:
    paths: list[str] = []
    for key, value in table.items():
        paths += leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return paths


def test_the_promised_presets_are_there() -> None:
    assert {"digits", "fashion-mnist-low", "cifar10-low", "cifar10-high"} <= set(TWINS)


@pytest.mark.parametrize("name", preset_names())
def test_every_value_says_where_it_comes_from(name: str) -> None:
    protocol = preset(name)
    fields = leaves(protocol.model_dump(exclude={"name", "title", "source", "provenance"}))
    assert [field for field in fields if field not in protocol.provenance] == []
    tables = {field[:i] for field in fields for i, letter in enumerate(field) if letter == "."}
    assert set(protocol.provenance) <= set(fields) | tables
    for mark in protocol.provenance.values():
        kind, _, why = mark.partition(": ")
        assert kind in {"published", "our choice"}
        assert len(why) > 3
    assert protocol.title
    assert protocol.source


@pytest.mark.parametrize("name", preset_names())
def test_published_values_are_those_of_the_named_paper(name: str) -> None:
    published = {field for field, mark in preset(name).provenance.items() if mark.startswith("published")}
    if name not in LUETH:
        assert not published
        return
    known = {"budgets", "data.name", "splits.validation_size", "splits.validation_counted", "splits.initial", "model.name"}
    known |= {"regime.method", "regime.epochs", "regime.optimizer.lr"} | (
        {"regime.augmentation.rand_augment"} if "augmented" in name else set()
    )
    assert published == known
    p = preset(name)
    start, validation = (50, 250) if "low" in name else (1000, 5000)
    assert p.budgets == tuple(start * k for k in range(1, 11))
    assert (p.splits.validation_size, p.splits.validation_counted, p.splits.initial) == (validation, False, "balanced")
    assert (p.model.name, p.regime.epochs, p.regime.optimizer.lr) == ("resnet18", 200, 0.1)


@pytest.mark.parametrize("twin", TWINS)
def test_twins_differ_in_augmentation_alone(twin: str) -> None:
    plain, augmented = preset(f"{twin}-plain"), preset(f"{twin}-augmented")
    assert plain.regime.augmentation != augmented.regime.augmentation
    same = augmented.regime.model_copy(update={"augmentation": plain.regime.augmentation, "name": plain.regime.name})
    assert augmented.model_copy(update={"regime": same}).fingerprint == plain.fingerprint


@pytest.mark.parametrize("name", preset_names())
def test_presets_fit_their_data_and_build_their_model(name: str) -> None:
    protocol = preset(name)
    card = CARDS[protocol.data.name]
    assert protocol.data.digest == card.digest
    assert card.n_train is not None
    assert card.n_test is not None
    assert card.shape is not None
    assert card.classes is not None
    split = make_split(protocol, 0, card.n_train, card.n_test)
    assert len(split.pool) >= protocol.training_labels[-1]
    net = build(protocol.model, Images("x", np.zeros((1, *card.shape), np.uint8), 1, 0, card.classes, ""), 0).eval()
    height, width, channels = card.shape
    assert net(torch.zeros(1, channels, height, width)).shape == (1, 10)
    assert protocol.regime.method in METHODS
