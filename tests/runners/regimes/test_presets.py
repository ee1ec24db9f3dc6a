"""The presets that ship: each value with its origin, and sizes that run."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch

from protocol.draws.splits import make_split
from protocol.spec.protocol import Model
from protocol.spec.toml_files import load_preset, preset_names
from runners.datasets import CARDS, Images
from runners.regimes import METHODS
from runners.tasks import TASKS

TWINS = ("digits", "fashion-mnist-low", "cifar10-low", "cifar10-high")
"""Presets of our own that come without and with augmentation."""
PAPERS = {"lueth2023": "2301.10625", "munjal2022": "2002.09564", "beck2021": "2106.15324", "werner2024": "2408.00426"}
PAPERS |= {"mittal2019": "1908.05724", "mittal2023": "2302.04075"}
OTHER_NETWORKS = ("mittal2019", "mittal2023")
"""Papers whose network is not among ours, or whose data may not be handed on: those values are our choice."""
LUETH = {"cifar10-low-plain", "cifar10-low-augmented", "cifar10-high-plain", "cifar10-high-augmented"}
"""Of our own, but for what they follow the paper in."""
LONG_TAIL = sum((5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100))
"""Training images of CIFAR-10-LT, 1:50."""
SIZES = {"voc2012-aug": (10582, 1449), "cityscapes": (2975, 500), "masks": (5000, 500)}
"""Training and test images of data sets in files that a card does not hold to a number; of one's own any."""
CODE = ("authors' public code", "DISTIL's public code")

GOLDEN = {
    "beck2021-cifar10": "75b8c894cade6297",
    "beck2021-cifar100": "d529ccd3e96e98a0",
    "camvid-augmented": "8c26974a9a813371",
    "camvid-redundant-cutmix": "d41b18ea02d5bee1",
    "camvid-redundant": "3b0b2963e7cf25ee",
    "camvid-diverse-cutmix": "e4eeacd11a23f781",
    "camvid-diverse": "51b438fee75c071e",
    "camvid-superpixels": "fbb3d9f91537ce32",
    "camvid-tiles": "abb6035ae354f7bb",
    "camvid-plain": "c3e5019b11fdfd87",
    "cifar10-high-augmented": "70b28fae62da28f2",
    "cifar10-high-plain": "a4a1dae657e2c145",
    "cifar10-low-augmented": "032be46c46a506d2",
    "cifar10-low-plain": "c91e6782c64be71a",
    "digit-scenes-augmented": "a398e985860d1317",
    "digit-scenes-cutmix": "0be2f63475f57cf0",
    "digit-scenes-tiles": "22050532ccd6a2cc",
    "digit-scenes-plain": "a694964fcc93dba4",
    "digit-scenes-s4gan": "aac345eef37e37b0",
    "digit-scenes-unimatch": "914608b2e2288355",
    "digits-augmented": "c2976fdcee3e2ad5",
    "digits-fixmatch": "dae05923f3458e76",
    "digits-flexmatch": "d55ca8239196079f",
    "digits-linear": "232e943633b45383",
    "digits-mean-teacher": "3408b7e62afbcd09",
    "digits-plain": "13c3bdae91aa9839",
    "digits-pseudo-label": "0ed0e9e49b6c2ca1",
    "digits-simclr-probe": "76e0ea16d85b5426",
    "digits-tuned": "9f7386797d640b81",
    "digits-simclr-solved": "e71f509daab3d7f4",
    "digits-uda": "094376aa918749b5",
    "fashion-mnist-low-augmented": "74967ff1752ca5d7",
    "fashion-mnist-low-plain": "1d890baae975987c",
    "lueth2023-cifar10-high-pretrained": "0c72837f1b127d83",
    "lueth2023-cifar10-high-supervised": "dfc59ed7b5a4c458",
    "lueth2023-cifar10-low-fixmatch": "80901832a3901b9e",
    "lueth2023-cifar10-low-pretrained": "5581c068271011d6",
    "lueth2023-cifar10-low-supervised": "a90521b329809afc",
    "lueth2023-cifar10-lt-high-pretrained": "febe75a9f09e80b5",
    "lueth2023-cifar10-lt-high-supervised": "7b3d7d64d742b5ff",
    "lueth2023-cifar10-lt-low-fixmatch": "167be11630378d74",
    "lueth2023-cifar10-lt-low-pretrained": "6bf19845b972065e",
    "lueth2023-cifar10-lt-low-supervised": "4865530b405a8825",
    "lueth2023-cifar10-lt-medium-fixmatch": "10ea3c28e6e93f90",
    "lueth2023-cifar10-lt-medium-pretrained": "2413eb9af65fd9a2",
    "lueth2023-cifar10-lt-medium-supervised": "65ffa7b21f2a4a7f",
    "lueth2023-cifar10-medium-fixmatch": "9c091044da0616b7",
    "lueth2023-cifar10-medium-pretrained": "5b9fb57ba2a87b79",
    "lueth2023-cifar10-medium-supervised": "a633f55268ab471c",
    "lueth2023-cifar100-high-pretrained": "7f5a41eb921817de",
    "lueth2023-cifar100-high-supervised": "e52253bc23472ea7",
    "lueth2023-cifar100-low-fixmatch": "7eb3f918a9f053f2",
    "lueth2023-cifar100-low-pretrained": "7c713f3c8c503133",
    "lueth2023-cifar100-low-supervised": "605b57af2aa7edc1",
    "lueth2023-cifar100-medium-fixmatch": "a38e6daba829e2eb",
    "lueth2023-cifar100-medium-pretrained": "e2c19d285fdd8c0f",
    "lueth2023-cifar100-medium-supervised": "3d178be96d01d72e",
    "lueth2023-isic2019-high-pretrained": "d682b84eee5adb94",
    "lueth2023-isic2019-high-supervised": "fc1268df1e9fe6d5",
    "lueth2023-isic2019-low-pretrained": "7d0d2415a0785e35",
    "lueth2023-isic2019-low-supervised": "ca04fefafd1a5650",
    "lueth2023-isic2019-medium-pretrained": "6e6708266e2495a0",
    "lueth2023-isic2019-medium-supervised": "d8fc84b13a62a546",
    "lueth2023-mio-tcd-high-pretrained": "78a2f0c10b0336c4",
    "lueth2023-mio-tcd-high-supervised": "d93c44c2945abe06",
    "lueth2023-mio-tcd-low-pretrained": "6383a9f2f88e5c8f",
    "lueth2023-mio-tcd-low-supervised": "1fe8258f9f264274",
    "lueth2023-mio-tcd-medium-pretrained": "8afcd685152a6b28",
    "lueth2023-mio-tcd-medium-supervised": "21d1201a4e45be28",
    "mittal2019-cityscapes-augmented": "8f400e77c259f5de",
    "mittal2019-cityscapes-plain": "bc8f5f0bae52bd31",
    "mittal2019-cityscapes-s4gan": "90dd620cab01663c",
    "mittal2019-voc2012-augmented": "4d73302825352483",
    "mittal2019-voc2012-plain": "6b93e3365c5a8390",
    "mittal2019-voc2012-s4gan": "c5fca2e913a6f4e8",
    "mittal2023-driving-diverse-10-10-augmented": "42ddf005b7d5e88e",
    "mittal2023-driving-diverse-10-10-s4gan": "c32d0c336818703c",
    "mittal2023-driving-diverse-5-5-augmented": "8885ced8510da163",
    "mittal2023-driving-diverse-5-5-s4gan": "981c8b57ea5714f8",
    "mittal2023-driving-redundant-10-10-augmented": "b5f3d16ef1b9c314",
    "mittal2023-driving-redundant-10-10-s4gan": "f719e0d5986b6f0f",
    "mittal2023-driving-redundant-5-5-augmented": "e62e531211c5eae8",
    "mittal2023-driving-redundant-5-5-s4gan": "c633e8465948bfc3",
    "mittal2023-voc2012-10-10-augmented": "351d06863869f5dc",
    "mittal2023-voc2012-10-10-s4gan": "74f306b9c5ca0d7f",
    "mittal2023-voc2012-5-5-augmented": "b8a08bd1525aced5",
    "mittal2023-voc2012-5-5-s4gan": "824a2a20ddb8f5be",
    "munjal2022-cifar10-plain": "67195b262a0d2a7d",
    "munjal2022-cifar10-plain-tuned": "d863b4422c5abb84",
    "munjal2022-cifar10-strong": "0b87587c721156f7",
    "munjal2022-cifar10-strong-tuned": "a03ea044db490ff8",
    "munjal2022-cifar100-plain": "5a2d86299904b485",
    "munjal2022-cifar100-plain-tuned": "848b1cff2e227168",
    "munjal2022-cifar100-strong": "10dcd4786c2fea13",
    "munjal2022-cifar100-strong-tuned": "c1b62e56c768d39f",
    "werner2024-cifar10": "d44c9df00e96650c",
    "werner2024-cifar10-encoded": "daadae836c038cd1",
    "werner2024-fashion-mnist-encoded": "5ad3108343dbafe6",
    "werner2024-fashion-mnist": "b0046472a9941cb8",
}
"""A change here makes records of a preset another comparison: give the changed preset another name instead."""


def leaves(table: dict[str, Any], prefix: str = "") -> list[str]:
    paths: list[str] = []
    for key, value in table.items():
        paths += leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return paths


def paper_of(name: str) -> str | None:
    """arXiv number of the paper that a preset may cite as having published a value."""
    return PAPERS["lueth2023"] if name in LUETH else PAPERS.get(name.split("-")[0])


def test_presets_and_their_fingerprints() -> None:
    assert {name: load_preset(name).fingerprint[:16] for name in preset_names()} == GOLDEN


@pytest.mark.parametrize("name", preset_names())
def test_every_value_says_where_it_comes_from(name: str) -> None:
    protocol = load_preset(name)
    used = leaves(protocol.fingerprint_content())
    assert [field for field in used if field not in protocol.provenance] == []
    every = leaves(protocol.model_dump(exclude={"name", "title", "source", "provenance"}))
    tables = {field[:i] for field in every for i, letter in enumerate(field) if letter == "."}
    assert set(protocol.provenance) <= set(every) | tables
    for mark in protocol.provenance.values():
        kind, _, why = mark.partition(": ")
        assert kind in {"published", "our choice"}
        assert len(why) > 3
    assert protocol.title
    assert protocol.source


@pytest.mark.parametrize("name", preset_names())
def test_published_values_name_the_preset_s_own_paper_or_its_code(name: str) -> None:
    published = {field: mark for field, mark in load_preset(name).provenance.items() if mark.startswith("published")}
    paper = paper_of(name)
    if paper is None:
        assert not published
        return
    if name.startswith(OTHER_NETWORKS):
        assert "model.name" not in published
        assert {"regime.method", "budgets", "data.name"} & set(published)
    else:
        assert {"data.name", "model.name"} <= set(published)
    assert paper in load_preset(name).source
    for mark in published.values():
        assert paper in mark or any(code in mark for code in CODE), mark


@pytest.mark.parametrize("name", sorted(LUETH))
def test_our_own_cifar_presets_cite_what_they_follow(name: str) -> None:
    p = load_preset(name)
    published = {field for field, mark in p.provenance.items() if mark.startswith("published")}
    known = {
        "budgets",
        "data.name",
        "splits.validation_size",
        "splits.validation_counted",
        "splits.initial",
        "model.name",
    }
    known |= {"regime.method", "regime.epochs", "regime.optimizer.lr"} | (
        {"regime.augmentation.rand_augment"} if "augmented" in name else set()
    )
    assert published == known
    assert (p.splits.validation_counted, p.splits.initial) == (False, "balanced")
    assert (p.model.name, p.regime.epochs, p.regime.step_optimizer.lr) == ("resnet18", 200, 0.1)


@pytest.mark.parametrize(
    ("row", "start", "step", "rounds", "validation"),
    [
        ("cifar10-low-plain", 50, 50, 10, 250),
        ("cifar10-high-augmented", 1000, 1000, 10, 5000),
        ("lueth2023-cifar10-low-supervised", 50, 50, 10, 250),
        ("lueth2023-cifar10-medium-supervised", 250, 250, 10, 2500),
        ("lueth2023-cifar10-high-supervised", 1000, 1000, 10, 5000),
        ("lueth2023-cifar100-low-supervised", 500, 500, 10, 2500),
        ("lueth2023-cifar100-medium-supervised", 1000, 1000, 10, 5000),
        ("lueth2023-cifar100-high-supervised", 5000, 5000, 5, 5000),
        ("lueth2023-cifar10-lt-low-supervised", 50, 50, 10, 250),
        ("lueth2023-cifar10-lt-medium-supervised", 250, 250, 10, 1250),
        ("lueth2023-cifar10-lt-high-supervised", 1000, 1000, 8, 5000),
        ("lueth2023-isic2019-low-supervised", 40, 40, 10, 200),
        ("lueth2023-isic2019-medium-supervised", 200, 200, 10, 1000),
        ("lueth2023-isic2019-high-pretrained", 800, 800, 10, 18_999 // 5),
        ("lueth2023-mio-tcd-low-supervised", 55, 55, 10, 275),
        ("lueth2023-mio-tcd-medium-pretrained", 275, 275, 10, 1375),
        ("lueth2023-mio-tcd-high-supervised", 1100, 1100, 10, 5500),
        ("werner2024-cifar10-encoded", 10, 50, 10, 0),
        ("lueth2023-cifar10-low-fixmatch", 50, 50, 10, 250),
        ("lueth2023-cifar10-medium-fixmatch", 250, 250, 10, 2500),
        ("munjal2022-cifar10-plain", 5000, 5000, 4, 5000),
        ("munjal2022-cifar100-strong", 5000, 5000, 4, 5000),
        ("beck2021-cifar10", 1000, 3000, 9, 0),
    ],
)
def test_budgets_are_the_papers_tables(row: str, start: int, step: int, rounds: int, validation: int) -> None:
    p = load_preset(row)
    assert p.budgets == tuple(start + step * k for k in range(rounds))
    assert p.training_labels == p.budgets  # the papers do not count validation labels
    assert p.splits.validation_size == validation


@pytest.mark.parametrize(
    "name", [name for name in preset_names() if name.startswith("lueth2023") and name.endswith("pretrained")]
)
def test_pretrained_rows_differ_from_the_supervised_ones_in_training_alone(name: str) -> None:
    pretrained, supervised = load_preset(name), load_preset(name.replace("pretrained", "supervised"))
    assert pretrained.model_copy(update={"regime": supervised.regime}).fingerprint == supervised.fingerprint
    regime = pretrained.regime
    assert (regime.epochs, regime.step_optimizer.lr) == (80, 0.001)
    assert regime.pretraining
    assert regime.pretraining.self_supervised
    assert (regime.pretraining.then, regime.pretraining.self_supervised.method) == ("fine-tune", "simclr")
    published = {
        "regime.epochs",
        "regime.optimizer.lr",
        "regime.pretraining",
        "regime.pretraining.self_supervised.method",
    }
    recipe = {
        field
        for field, mark in pretrained.provenance.items()
        if field.startswith("regime.") and mark.startswith("published")
    }
    assert recipe == published | ({"regime.imbalance"} if pretrained.metric == "balanced_accuracy" else set())
    reached = {
        "lueth2023-cifar10-low-pretrained": 0.812,
        "lueth2023-cifar10-medium-pretrained": 0.867,
        "lueth2023-cifar10-high-pretrained": 0.899,
    }
    assert (pretrained.reference and pretrained.reference.aubc) == reached.get(name)


@pytest.mark.parametrize(
    "name", [name for name in preset_names() if name.startswith("munjal2022") and name.endswith("tuned")]
)
def test_tuned_rows_differ_from_the_others_in_tuning_alone_and_have_the_papers_search(name: str) -> None:
    tuned, plain = load_preset(name), load_preset(name.removesuffix("-tuned"))
    assert tuned.model_copy(update={"regime": plain.regime}).fingerprint == plain.fingerprint
    assert tuned.regime.model_copy(update={"tuning": None}) == plain.regime
    assert tuned.reference == plain.reference
    search = tuned.regime.tuning
    assert search
    assert (search.policy, search.trials, search.held_out) == ("every-round", 50, None)
    bounds = {path: (d.low, d.high, d.scale) if d.choices is None else d.choices for path, d in search.space.items()}
    expected: dict[str, Any] = {"optimizer.lr": (1e-5, 1e-2, "log"), "optimizer.weight_decay": (1e-8, 1e-3, "log")}
    expected |= {"optimizer.name": ("sgd", "adam")}
    if "strong" in name:
        expected |= {
            "augmentation.rand_augment.ops": (1, 15, "linear"),
            "augmentation.rand_augment.magnitude": (1, 9, "linear"),
        }
    assert bounds == expected


@pytest.mark.parametrize("twin", TWINS)
def test_twins_differ_in_augmentation_alone(twin: str) -> None:
    plain, augmented = load_preset(f"{twin}-plain"), load_preset(f"{twin}-augmented")
    assert plain.regime.augmentation != augmented.regime.augmentation
    same = augmented.regime.model_copy(update={"augmentation": plain.regime.augmentation, "name": plain.regime.name})
    assert augmented.model_copy(update={"regime": same}).fingerprint == plain.fingerprint


@functools.cache
def logits_of(
    model: Model, shape: tuple[int, int, int], classes: tuple[str, ...], task: str = "classification"
) -> tuple[int, ...]:
    height, width, channels = shape
    net = TASKS[task].build(model, Images("x", np.zeros((1, *shape), np.uint8), 1, 0, classes, ""), 0).eval()
    return tuple(net(torch.zeros(1, channels, height, width)).shape)


@pytest.mark.parametrize("name", preset_names())
def test_presets_fit_their_data_and_build_their_model(name: str) -> None:
    protocol = load_preset(name)
    card = CARDS[protocol.data.name]
    assert protocol.data.digest == card.digest or card.digest is None  # camvid is there in several sizes
    train, test = SIZES.get(card.name, (card.n_train, card.n_test))
    assert train
    assert test is not None
    shape, classes = card.shape or (48, 64, 3), card.classes or ("road", "sky")
    if made := protocol.data.construction:
        train = made.sequence.frames if made.sequence else LONG_TAIL
    split = make_split(protocol, 0, train, test)
    cost = protocol.labelling.cost if protocol.labelling else "label"
    each = {"label": 1 if protocol.labelling is None else 9, "pixel": shape[0] * shape[1], "click": 340}[cost]
    assert len(split.pool) * each >= protocol.training_labels[-1]
    maps = shape[:2] if protocol.task == "segmentation" else ()
    assert logits_of(protocol.model, shape, classes, protocol.task) == (1, len(classes), *maps)
    assert protocol.regime.method in METHODS
