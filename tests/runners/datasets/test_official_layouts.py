"""Tiny files in the layouts in which the data sets are distributed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from protocol.errors import InputError
from protocol.spec import Data
from runners.datasets import CARDS, Images, Labels, load, medmnist, own, stl10, svhn, tiny_imagenet
from runners.datasets.cards import Card
from runners.datasets.places import Place

RNG = np.random.default_rng(3)


def colour(n: int, side: int) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, (n, side, side, 3)).astype(np.uint8)


def card(name: str, train: int, test: int) -> Card:
    return replace(CARDS[name], n_train=train, n_test=test)


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="PNG")  # lossless, whatever the ending: Pillow goes by the content


def test_svhn(tmp_path: Path) -> None:
    train, test = colour(4, 32), colour(3, 32)
    (tmp_path / "svhn").mkdir()
    for name, pixels, y in (("train", train, [1, 10, 9, 2]), ("test", test, [10, 5, 3])):
        savemat(tmp_path / "svhn" / f"{name}_32x32.mat", {"X": pixels.transpose(1, 2, 3, 0), "y": np.asarray(y, np.uint8)[:, None]})
    images, labels = svhn.load(card("svhn", 4, 3), Place(tmp_path, None))
    np.testing.assert_array_equal(images.pixels, np.concatenate([train, test]))
    assert labels.for_oracle().tolist() == [1, 0, 9, 2, 0, 5, 3]


def test_stl10(tmp_path: Path) -> None:
    train, test = colour(3, 96), colour(2, 96)
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    for name, pixels, y in (("train", train, [1, 10, 4]), ("test", test, [2, 3])):
        pixels.transpose(0, 3, 2, 1).tofile(folder / f"{name}_X.bin")  # channel by channel, each column by column
        np.asarray(y, np.uint8).tofile(folder / f"{name}_y.bin")
    images, labels = stl10.load(card("stl10", 3, 2), Place(tmp_path, None))
    np.testing.assert_array_equal(images.pixels, np.concatenate([train, test]))
    assert labels.for_oracle().tolist() == [0, 9, 3, 1, 2]
    (folder / "test_X.bin").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match=r"test_X\.bin"):
        stl10.load(card("stl10", 3, 2), Place(tmp_path, None))


def test_tiny_imagenet(tmp_path: Path) -> None:
    root = tmp_path / "tiny-imagenet-200"
    pictures = colour(6, 64)
    for k, (name, image) in enumerate([("n02", "n02_0"), ("n02", "n02_1"), ("n01", "n01_0")]):
        save(root / "train" / name / "images" / f"{image}.JPEG", pictures[k])
    save(root / "val" / "images" / "val_0.JPEG", pictures[3])
    save(root / "val" / "images" / "val_1.JPEG", pictures[4][..., 0])  # a grey one
    (root / "wnids.txt").write_text("n02\nn01\n")
    (root / "val" / "val_annotations.txt").write_text("val_1.JPEG\tn02\t0\t0\t9\t9\nval_0.JPEG\tn01\t0\t0\t9\t9\n")
    images, labels = tiny_imagenet.load(card("tiny-imagenet", 3, 2), Place(tmp_path, None))
    np.testing.assert_array_equal(images.pixels[:4], pictures[:4])
    np.testing.assert_array_equal(images.pixels[4], np.repeat(pictures[4][..., :1], 3, 2))
    assert labels.for_oracle().tolist() == [0, 0, 1, 1, 0]
    assert images.classes == ("n02", "n01")
    (root / "val" / "images" / "val_1.JPEG").unlink()
    with pytest.raises(InputError, match=r"no val_1\.JPEG"):
        tiny_imagenet.load(card("tiny-imagenet", 3, 2), Place(tmp_path, None))
    (root / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn07\n")
    with pytest.raises(InputError, match="n07"):
        tiny_imagenet.load(card("tiny-imagenet", 3, 2), Place(tmp_path, None))


@pytest.mark.parametrize("folder", ["EuroSAT/2750", "EuroSAT_RGB", "eurosat"])
def test_eurosat(tmp_path: Path, folder: str) -> None:
    names = CARDS["eurosat"].classes or ()
    pictures = colour(len(names), 64)
    for name, pixels in zip(names, pictures, strict=True):
        save(tmp_path / folder / name / f"{name}_1.jpg", pixels)
    images, labels = own.load_eurosat(card("eurosat", 10, 0), Place(tmp_path, None))
    np.testing.assert_array_equal(images.pixels, pictures)
    assert labels.for_oracle().tolist() == list(range(10))
    assert images.classes == names


def test_medmnist(tmp_path: Path) -> None:
    parts = {"train": colour(4, 28), "val": colour(2, 28), "test": colour(3, 28)}
    told = {"train": [0, 2, 1, 0], "val": [1, 2], "test": [2, 0, 1]}
    arrays = {f"{part}_images": pixels for part, pixels in parts.items()}
    arrays |= {f"{part}_labels": np.asarray(y, np.uint8)[:, None] for part, y in told.items()}
    np.savez(tmp_path / "bloodmnist.npz", **arrays)
    images, labels = load(Data(name="medmnist", path="bloodmnist.npz"), tmp_path)
    np.testing.assert_array_equal(images.pixels, np.concatenate(list(parts.values())))
    assert labels.for_oracle().tolist() == [0, 2, 1, 0, 1, 2, 2, 0, 1]
    assert (images.train_size, images.test_size) == (6, 3)
    several = arrays | {f"{part}_labels": np.zeros((len(y), 14), np.uint8) for part, y in told.items()}
    np.savez(tmp_path / "chestmnist.npz", **several)
    with pytest.raises(InputError, match="one class an image"):
        medmnist.load(CARDS["medmnist"], Place(tmp_path, "chestmnist.npz"))
    np.savez(tmp_path / "other.npz", images=parts["train"])
    with pytest.raises(InputError, match="no train_images"):
        medmnist.load(CARDS["medmnist"], Place(tmp_path, "other.npz"))


def test_imagenet_like_folders_have_their_validation_images_as_test_set(tmp_path: Path) -> None:
    pictures = colour(3, 8)
    for path, pixels in zip(("train/n01/a.JPEG", "train/n02/b.JPEG", "val/n02/c.JPEG"), pictures, strict=True):
        save(tmp_path / "imagenet" / path, pixels)
    images, labels = load(Data(name="folder", path="imagenet"), tmp_path)
    np.testing.assert_array_equal(images.pixels, pictures)
    assert labels.for_oracle().tolist() == [0, 1, 1]
    assert (images.train_size, images.test_size) == (2, 1)


@pytest.mark.parametrize(
    ("name", "loader"),
    [("svhn", svhn.load), ("stl10", stl10.load), ("tiny-imagenet", tiny_imagenet.load), ("eurosat", own.load_eurosat)],
)
def test_what_is_not_there_is_said_with_where_to_get_it(
    tmp_path: Path, name: str, loader: Callable[[Card, Place], tuple[Images, Labels]]
) -> None:
    with pytest.raises(InputError) as caught:
        loader(CARDS[name], Place(tmp_path, None))
    [fault] = caught.value.faults
    assert str(tmp_path) in fault.found
    assert CARDS[name].origin in fault.fix
    assert CARDS[name].files[0] in fault.expected


@pytest.mark.parametrize(("name", "file"), [("svhn", "train_32x32.mat"), ("tiny-imagenet", "wnids.txt")])
def test_damaged_files_are_bad_input(tmp_path: Path, name: str, file: str) -> None:
    for other in ("train_32x32.mat", "test_32x32.mat", "wnids.txt", "val/val_annotations.txt"):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_bytes(b"\xff\x00noise" * 30)
    with pytest.raises(InputError, match=file):
        load(Data(name=name), tmp_path)
