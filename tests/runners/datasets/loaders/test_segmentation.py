"""Segmentation data in the layouts they are published in, as tiny folders, and the embedded scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from protocol.errors import InputError
from protocol.metrics import VOID
from protocol.spec.data import Data
from runners.data import load
from runners.datasets import CARDS
from runners.datasets.loaders.segmentation import CITYSCAPES

RNG = np.random.default_rng(0)


def picture(path: Path, height: int, width: int) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(256, size=(height, width, 3), dtype=np.uint8)
    options: dict[str, Any] = {"quality": 100} if path.suffix == ".jpg" else {}
    Image.fromarray(pixels).save(path, **options)
    return pixels


def mask(path: Path, classes: np.ndarray, *, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(classes.astype(np.uint8))
    if palette:
        image.putpalette([(7 * k) % 256 for k in range(768)])
    image.save(path)


def test_scenes_are_those_of_the_card_with_ground_digits_and_void() -> None:
    images, labels = load(Data(name="digit-scenes"), None)
    card = CARDS["digit-scenes"]
    assert (images.digest, images.pixels.shape, images.classes) == (card.digest, (1000, 24, 24, 1), ("ground", *"012"))
    maps = labels.for_oracle()
    assert not maps.flags.writeable
    share = np.bincount(maps.reshape(-1), minlength=256)[[*range(4), VOID]] / maps.size
    assert (share > 0.005).all()
    assert share[0] > 0.6
    assert repr(labels) == "Labels(1000 hidden)"


def test_half_the_resolution_keeps_masks_on_their_images() -> None:
    whole, labels = load(Data(name="digit-scenes"), None)
    half, fewer = load(Data(name="digit-scenes", resolution=12), None)
    assert half.pixels.shape == (1000, 12, 12, 1)
    assert half.digest == whole.digest
    np.testing.assert_array_equal(fewer.for_oracle(), labels.for_oracle()[:, 1::2, 1::2])


def own_folder(path: Path, parts: tuple[str, ...] = ("",)) -> list[np.ndarray]:
    maps = []
    for part in parts:
        for k in range(3):
            picture(path / part / "images" / f"{k}.png", 6, 8)
            maps.append(RNG.choice([0, 1, VOID], size=(6, 8)))
            mask(path / part / "masks" / f"{k}.png", maps[-1])
    (path / "classes.txt").write_text("sky\nground\n")
    return maps


@pytest.mark.parametrize("parts", [("",), ("train", "test")])
def test_own_images_and_masks(parts: tuple[str, ...], tmp_path: Path) -> None:
    maps = own_folder(tmp_path, parts)
    images, labels = load(Data(name="masks", path=str(tmp_path)), None)
    assert (images.train_size, images.test_size, images.classes) == (3, 3 * (len(parts) - 1), ("sky", "ground"))
    np.testing.assert_array_equal(labels.for_oracle(), maps)


def test_every_fault_of_own_masks_is_told_at_once(tmp_path: Path) -> None:
    own_folder(tmp_path)
    mask(tmp_path / "masks" / "0.png", np.zeros((5, 8)))
    picture(tmp_path / "images" / "1.png", 6, 9)
    (tmp_path / "masks" / "2.png").write_bytes(b"not a picture")
    with pytest.raises(InputError) as told:
        load(Data(name="masks", path=str(tmp_path)), None)
    assert [Path(f.where).name for f in told.value.faults] == ["0.png", "1.png", "2.png"]
    (tmp_path / "masks" / "2.png").unlink()
    mask(tmp_path / "masks" / "stray.png", np.zeros((6, 8)))
    with pytest.raises(InputError, match=r"stray\.png"):
        load(Data(name="masks", path=str(tmp_path)), None)


def test_class_numbers_beyond_the_names_are_refused(tmp_path: Path) -> None:
    own_folder(tmp_path)
    mask(tmp_path / "masks" / "0.png", np.full((6, 8), 7))
    with pytest.raises(InputError, match="7 \\(48 pixels\\)"):
        load(Data(name="masks", path=str(tmp_path)), None)


def test_voc_as_it_is_unpacked(tmp_path: Path) -> None:
    root = tmp_path / "VOCdevkit" / "VOC2012"
    lists = {"train": ["2007_000032", "2007_000039"], "val": ["2007_000033"]}
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    classes = {}
    for part, names in lists.items():
        (root / "ImageSets" / "Segmentation" / f"{part}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            picture(root / "JPEGImages" / f"{name}.jpg", 375, 500)
            classes[name] = RNG.choice([0, 15, 20, VOID], size=(375, 500))
            mask(root / "SegmentationClass" / f"{name}.png", classes[name], palette=True)
    images, labels = load(Data(name="voc2012", resolution=125), tmp_path)
    assert (images.train_size, images.test_size, images.pixels.shape[1:]) == (2, 1, (125, 125, 3))
    assert len(images.classes) == 21
    maps = labels.for_oracle()
    assert (maps[:, 94:] == VOID).all()
    np.testing.assert_array_equal(maps[2][:93], classes["2007_000033"][2:374:4, 2::4])


def test_cityscapes_as_it_is_unpacked(tmp_path: Path) -> None:
    ids = RNG.choice([*CITYSCAPES, 0, 1, 29], size=(16, 32))
    for part, city in (("train", "aachen"), ("train", "bochum"), ("val", "lindau")):
        stem = f"{city}_000000_000019"
        picture(tmp_path / "cityscapes" / "leftImg8bit" / part / city / f"{stem}_leftImg8bit.png", 16, 32)
        mask(tmp_path / "cityscapes" / "gtFine" / part / city / f"{stem}_gtFine_labelIds.png", ids)
    images, labels = load(Data(name="cityscapes"), tmp_path)
    assert (images.train_size, images.test_size, len(images.classes)) == (2, 1, 19)
    expected = np.vectorize(lambda k: CITYSCAPES.get(k, VOID))(ids)
    np.testing.assert_array_equal(labels.for_oracle()[0], expected)
    half, _ = load(Data(name="cityscapes", resolution=8), tmp_path)
    assert half.pixels.shape[1:] == (8, 16, 3)


@pytest.mark.parametrize("name", ["voc2012", "voc2012-aug", "cityscapes", "camvid"])
def test_what_is_looked_for_is_said_where_it_is_not(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of them"):
        load(Data(name=name), tmp_path)
    with pytest.raises(InputError, match="data root"):
        load(Data(name=name), None)


def test_camvid(data_root: Path) -> None:
    if not (data_root / "camvid_128x96").is_dir():
        pytest.skip("camvid_128x96 is not among the real data sets here")
    images, labels = load(Data(name="camvid", resolution=48), data_root)
    assert (images.train_size, images.test_size, images.pixels.shape[1:]) == (367, 233, (48, 64, 3))
    share = np.bincount(labels.for_oracle().reshape(-1), minlength=256)
    assert share[11:VOID].sum() == 0
    assert (share[:11] > 0).all()
    assert 0.01 < share[VOID] / share.sum() < 0.1


def test_voc_with_the_masks_that_others_added(tmp_path: Path) -> None:
    root = tmp_path / "VOCdevkit" / "VOC2012"
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    added = RNG.choice([0, 3, VOID], size=(100, 80))
    for part, names in {"trainaug": ["2008_000008", "2008_000015"], "val": ["2007_000033"]}.items():
        (root / "ImageSets" / "Segmentation" / f"{part}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            picture(root / "JPEGImages" / f"{name}.jpg", 100, 80)
            mask(root / "SegmentationClassAug" / f"{name}.png", added)
    images, labels = load(Data(name="voc2012-aug"), tmp_path)
    assert (images.train_size, images.test_size, images.pixels.shape[1:]) == (2, 1, (500, 500, 3))
    np.testing.assert_array_equal(labels.for_oracle()[1][:100, :80], added)


def test_masks_of_0_and_255_hold_one_class(tmp_path: Path) -> None:
    own_folder(tmp_path)
    for k in range(3):
        mask(tmp_path / "masks" / f"{k}.png", np.where(np.arange(48).reshape(6, 8) % 5, 0, 255))
    with pytest.raises(InputError, match="class 0 and 30 pixels of void") as error:
        load(Data(name="masks", path=str(tmp_path)), None)
    assert "store 255 as 1" in str(error.value)


def test_own_photographs_are_turned_onto_their_masks(tmp_path: Path) -> None:
    maps = own_folder(tmp_path)
    upright = np.zeros((6, 8, 3), np.uint8)
    upright[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(np.rot90(upright, 2)).save(tmp_path / "images" / "1.png", exif=exif)
    images, labels = load(Data(name="masks", path=str(tmp_path)), None)
    np.testing.assert_array_equal(images.pixels[1], upright)
    np.testing.assert_array_equal(labels.for_oracle()[1], maps[1])
