"""The published segmentation protocols on tiny trees laid out like the real data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from protocol.draws.splits import make_split
from protocol.errors import InputError
from protocol.oracle.oracle import Oracle
from protocol.spec.protocol import Protocol
from protocol.spec.toml_files import load_preset, parse, preset_names
from runners.data import load
from runners.loop import rounds
from runners.regimes import Resident
from runners.session import Session
from runners.strategies import STRATEGIES

NAMES = [name for name in preset_names() if name.startswith(("mittal2019", "mittal2023"))]
TRAIN, TEST = 12, 2


def pair(image: Path, mask: Path, size: tuple[int, int], number: int, ids: list[int]) -> None:
    """A picture whose grey value says its number, and its mask."""
    for path, array in (
        (image, np.full((*size, 3), 10 * number, np.uint8)),
        (mask, np.full(size, ids[number % len(ids)], np.uint8)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VOC 2012 with SBD's masks, Cityscapes, and a folder `driving`."""
    path = tmp_path_factory.mktemp("published")
    voc, city, own = path / "VOCdevkit" / "VOC2012", path / "cityscapes", path / "driving"
    (voc / "ImageSets" / "Segmentation").mkdir(parents=True)
    names = [f"2008_{i:06d}" for i in range(TRAIN + TEST)]
    for part, some in (("trainaug", names[:TRAIN]), ("val", names[TRAIN:])):
        (voc / "ImageSets" / "Segmentation" / f"{part}.txt").write_text("\n".join(some))
    for i, name in enumerate(names):
        pair(voc / "JPEGImages" / f"{name}.jpg", voc / "SegmentationClassAug" / f"{name}.png", (40, 50), i, [0, 15, 20])
        half, stem = "train" if i < TRAIN else "val", f"aachen_{i:06d}_000019"
        picture = city / "leftImg8bit" / half / "aachen" / f"{stem}_leftImg8bit.png"
        pair(picture, city / "gtFine" / half / "aachen" / f"{stem}_gtFine_labelIds.png", (16, 32), i, [7, 23, 0])
        folder = own / ("train" if i < TRAIN else "test")
        pair(folder / "images" / f"{i:04d}.png", folder / "masks" / f"{i:04d}.png", (16, 32), i, [0, 1])
    (own / "classes.txt").write_text("road\nsky\n")
    return path


def toy(name: str) -> Protocol:
    """The preset at the size of the trees."""
    table: dict[str, Any] = load_preset(name).model_dump(mode="json") | {
        "name": "toy",
        "provenance": {},
        "budgets": [2, 4],
    }
    table["model"] = {"name": "unet-small", "width": 2}
    table["regime"] |= {"steps": 2, "batch_size": 2}
    if table["data"]["name"] != "masks":
        table["data"]["resolution"] = {"voc2012-aug": 50, "cityscapes": 16}[table["data"]["name"]]
    if table["data"]["construction"]:
        length = 3 if "redundant" in name else 1
        table["data"]["construction"]["sequence"] = {"frames": 6, "length": length}
    if table["regime"]["augmentation"]["crop"]:
        table["regime"]["augmentation"]["crop"] = 16
    if table["regime"]["semi"]:
        table["regime"]["semi"]["unlabelled_batch"] = 2
        table["regime"]["semi"]["discriminator"]["width"] = 2
    return parse(Protocol, table, "toy")


@pytest.mark.parametrize("name", NAMES)
def test_a_published_protocol_runs_on_its_layout(name: str, root: Path) -> None:
    p = toy(name)
    images, hidden = load(p.data, root)
    split = make_split(p, 0, images.train_size, images.test_size)
    oracle = Oracle(p, 0, split, np.array(hidden.for_oracle()), lambda *_: None, classes=len(images.classes))
    oracle.start()
    resident = Resident.of(images, torch.device("cpu"))
    done = list(rounds(Session(p, "entropy", 0, images, split, oracle, resident), STRATEGIES["entropy"](), 0))
    assert [len(o.examined.sidecar["confusion"]) for o in done] == [TEST] * 2
    assert ("discriminator_loss_maps" in done[0].fit.extra) == name.endswith("s4gan")


def test_pools_differ_in_how_near_their_frames_are(root: Path) -> None:
    seen = {}
    for kind in ("diverse", "redundant"):
        images, _ = load(toy(f"mittal2023-driving-{kind}-10-10-augmented").data, root)
        seen[kind] = [int(image[0, 0, 0]) // 10 for image in images.pixels[: images.train_size]]
    assert seen == {"diverse": [0, 2, 4, 6, 8, 10], "redundant": [0, 1, 2, 6, 7, 8]}


def test_a_folder_with_too_few_frames_is_told_how_many(root: Path) -> None:
    with pytest.raises(InputError, match="at most the 12 training images"):
        load(load_preset("mittal2023-driving-redundant-5-5-s4gan").data, root)


def test_the_grid_is_redundancy_by_semi_supervision_by_budget() -> None:
    for pool, size in (("voc2012", 10582), ("driving-diverse", 2640), ("driving-redundant", 2640)):
        for step in (5, 10):
            supervised, semi = (load_preset(f"mittal2023-{pool}-{step}-{step}-{how}") for how in ("augmented", "s4gan"))
            assert supervised.budgets == semi.budgets == tuple(size * step * k // 100 for k in (1, 2, 3, 4))
            same = {"name": "x", "method": "supervised", "semi": None}
            assert semi.regime.model_copy(update=same) == supervised.regime.model_copy(update=same)
            assert (semi.data, semi.model) == (supervised.data, supervised.model)
