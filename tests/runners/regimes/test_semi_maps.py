"""Mean teacher with CutMix on segmentation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from protocol.errors import InputError
from protocol.metrics import VOID
from protocol.oracle import Oracle
from protocol.reading import parse, preset
from protocol.spec import Protocol
from protocol.splits import make_split
from runners.datasets import load
from runners.loop import rounds
from runners.regimes import Resident, refuse_unknown_method, semi_maps
from runners.strategies import STRATEGIES


def test_boxes_cover_half_of_each_image_and_lie_anywhere() -> None:
    inside = semi_maps.boxes(400, 24, 32, torch.Generator().manual_seed(0))
    shares = inside.flatten(1).float().mean(1)
    assert (shares - 0.5).abs().max() < 0.04  # sides are whole pixels
    for box in inside:
        rows, columns = box.any(1), box.any(0)
        assert torch.equal(box, rows[:, None] & columns[None])
    assert len({tuple(b.flatten().tolist()) for b in inside}) > 100  # each image its own
    assert inside.any(0).all()


def test_pixels_below_the_threshold_or_outside_the_image_are_void() -> None:
    p = torch.tensor([[[0.95, 0.2, 0.6], [0.9, 0.5, 0.01]], [[0.05, 0.8, 0.4], [0.1, 0.5, 0.99]]])[None]
    known = torch.tensor([[[True, True, True], [False, True, True]]])
    assert semi_maps.pseudo_labels(p.log(), 0.7, known).tolist() == [[[0, 1, VOID], [VOID, VOID, 1]]]


def test_images_and_maps_are_mixed_in_the_same_places() -> None:
    maps = torch.randint(0, 5, (6, 8, 9), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    x = maps[:, None].repeat(1, 3, 1, 1).float()  # an image that shows its own map, so that any misalignment shows
    inside = semi_maps.boxes(6, 8, 9, torch.Generator().manual_seed(2))
    u, taught = semi_maps.mixed(x, maps, inside)
    torch.testing.assert_close(u, taught[:, None].repeat(1, 3, 1, 1).float())
    assert not torch.equal(taught, maps)
    assert torch.equal(taught[5][inside[5]], maps[0][inside[5]])
    assert torch.equal(taught[0][~inside[0]], maps[0][~inside[0]])


def protocol(**changes: Any) -> Protocol:
    table = preset("digit-scenes-cutmix").model_dump(mode="json") | {"name": "toy", "provenance": {}, "budgets": [4, 6]}
    table["model"]["width"] = 2
    table["regime"] |= {"steps": 4, "batch_size": 4}
    table["regime"]["semi"] |= {"unlabelled_batch": 3, "ramp_steps": 0, "threshold": 0.2}
    table["regime"] |= changes
    return parse(Protocol, table, "toy")


def test_poisoned_masks_of_images_never_bought_change_nothing() -> None:
    p = protocol()
    images, hidden = load(p.data, None)
    labels = np.array(hidden.for_oracle())
    split = make_split(p, 0, images.train_size, images.test_size)

    def run(truth: np.ndarray) -> tuple[list[Any], np.ndarray]:
        oracle = Oracle(p, 0, split, truth, lambda *_: None, None, len(images.classes))
        oracle.start()
        done = list(rounds(p, STRATEGIES["random"](), "random", 0, images, split, oracle, Resident.of(images, torch.device("cpu")), 0))
        return [(o.examined.sidecar["confusion"].tolist(), o.fit.extra) for o in done], oracle.owned

    honest, owned = run(labels)
    assert 0 < honest[0][1]["mask_ratio"] <= 1
    poisoned = labels.copy()
    never = np.setdiff1d(split.pool, owned)
    poisoned[never] = np.where(labels[never] == VOID, VOID, (labels[never] + 1) % 4)
    assert run(poisoned)[0] == honest
    poisoned[owned] = np.where(labels[owned] == VOID, VOID, (labels[owned] + 1) % 4)
    assert run(poisoned)[0] != honest


def test_it_needs_its_teacher_and_maps() -> None:
    with pytest.raises(InputError, match="cutmix needs ema_decay"):
        protocol(ema_decay=None)
    classes = preset("digits-mean-teacher").model_dump(mode="json") | {"provenance": {}}
    classes["regime"] |= {"method": "cutmix"}
    with pytest.raises(InputError, match="for classification"):
        refuse_unknown_method(parse(Protocol, classes, "toy"))
