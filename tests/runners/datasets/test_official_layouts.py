"""Tiny files in the layouts in which the data sets are distributed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from protocol.errors import InputError
from protocol.record.chain import read
from protocol.record.layout import StudyFolder
from protocol.spec.data import Data
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.toml_files import load_preset, parse
from runners.data import load
from runners.datasets import CARDS, Images, Labels
from runners.datasets.cards import Card
from runners.datasets.file_search import Place
from runners.datasets.loaders import isic_miotcd, medmnist, stl10, svhn, tiny_imagenet, user_images
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs
from runners.run.perform import perform

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
        savemat(
            tmp_path / "svhn" / f"{name}_32x32.mat",
            {"X": pixels.transpose(1, 2, 3, 0), "y": np.asarray(y, np.uint8)[:, None]},
        )
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
    images, labels = user_images.load_eurosat(card("eurosat", 10, 0), Place(tmp_path, None))
    np.testing.assert_array_equal(images.pixels, pictures)
    assert labels.for_oracle().tolist() == list(range(10))
    assert images.classes == names


def test_medmnist(tmp_path: Path) -> None:
    parts = {"train": colour(4, 28), "val": colour(2, 28), "test": colour(3, 28)}
    told = {"train": [0, 2, 1, 0], "val": [1, 2], "test": [2, 0, 1]}
    arrays: dict[str, Any] = {f"{part}_images": pixels for part, pixels in parts.items()}
    arrays |= {f"{part}_labels": np.asarray(y, np.uint8)[:, None] for part, y in told.items()}
    np.savez(tmp_path / "bloodmnist.npz", **arrays)
    images, labels = load(Data(name="medmnist", path="bloodmnist.npz"), tmp_path)
    np.testing.assert_array_equal(images.pixels, np.concatenate(list(parts.values())))
    assert labels.for_oracle().tolist() == [0, 2, 1, 0, 1, 2, 2, 0, 1]
    assert (images.train_size, images.test_size) == (6, 3)
    several = arrays | {f"{part}_labels": np.zeros((len(y), 14), np.uint8) for part, y in told.items()}
    np.savez(tmp_path / "chestmnist.npz", **several)
    with pytest.raises(InputError, match="one class per image"):
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
    [
        ("svhn", svhn.load),
        ("stl10", stl10.load),
        ("tiny-imagenet", tiny_imagenet.load),
        ("eurosat", user_images.load_eurosat),
    ],
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


LESIONS = {
    "ISIC_0000000": 1,
    "ISIC_0000001": 0,
    "ISIC_0000002_downsampled": 7,
    "ISIC_0000003": 1,
    "ISIC_0000004": 2,
    "ISIC_0000005": 1,
}


def lesions(root: Path, folder: str, **changes: str) -> None:
    """ISIC-2019 as its challenge distributes it: a table with a column a class, photographs of many sizes."""
    names = [*(CARDS["isic2019"].classes or ()), "UNK"]
    rows = [",".join([image, *("1.0" if j == k else "0.0" for j in range(9))]) for image, k in LESIONS.items()]
    text = changes.get("table") or "\n".join([",".join(["image", *names]), *rows]) + "\n"
    (root / "ISIC-2019").mkdir(parents=True, exist_ok=True)
    (root / "ISIC-2019" / "ISIC_2019_Training_GroundTruth.csv").write_text(text)
    for i, image in enumerate(LESIONS):
        save(root / "ISIC-2019" / folder / f"{image}.jpg", np.full((20 + i, 30, 3), 10 * i, np.uint8))


@pytest.mark.parametrize("folder", ["ISIC_2019_Training_Input", "ISIC_2019_Training_Input/ISIC_2019_Training_Input"])
def test_isic_2019(tmp_path: Path, folder: str) -> None:
    lesions(tmp_path, folder)
    images, labels = isic_miotcd.load_isic(card("isic2019", 5, 1), Place(tmp_path, None, (8, 6)))
    (test,) = np.random.default_rng(12345).choice(6, size=1, replace=False)
    order = [*np.delete(np.arange(6), test), test]  # as the authors of the protocol draw it
    assert images.pixels.shape == (6, 8, 6, 3)
    np.testing.assert_array_equal(images.pixels[:, 4, 3, 0], np.arange(6)[order] * 10)
    assert labels.for_oracle().tolist() == np.asarray(list(LESIONS.values()))[order].tolist()
    assert images.classes[1] == "NV"
    default, _ = isic_miotcd.load_isic(card("isic2019", 5, 1), Place(tmp_path, None))
    assert default.pixels.shape[1:] == (224, 224, 3)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            lambda root: (root / "ISIC_2019_Training_Input" / "ISIC_0000003.jpg").unlink(),
            "1 missing: ISIC_0000003.jpg",
        ),
        (
            lambda root: lesions(root.parent, "ISIC_2019_Training_Input", table="image,NV,MEL\na,1.0,0.0\n"),
            "columns image, MEL",
        ),
        (lambda root: _edit(root, "0.0,1.0,0.0", "1.0,1.0,0.0"), "1.0 in exactly one class column"),
        (
            lambda root: _edit(root, "0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0", "0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0"),
            "1.0 in exactly one class column",
        ),
        (lambda root: (root / "ISIC_2019_Training_GroundTruth.csv").write_text(""), "columns image"),
        (lambda root: (root / "ISIC_2019_Training_GroundTruth.csv").unlink(), "none of them"),
    ],
)
def test_an_incomplete_isic_2019_is_explained(tmp_path: Path, damage: Callable[[Path], object], says: str) -> None:
    lesions(tmp_path, "ISIC_2019_Training_Input")
    with pytest.raises(InputError, match="18999 training and 6332 test images"):
        load(Data(name="isic2019", size=(8, 8)), tmp_path)
    damage(tmp_path / "ISIC-2019")
    with pytest.raises(InputError, match=says):
        isic_miotcd.load_isic(card("isic2019", 5, 1), Place(tmp_path, None, (8, 6)))


def _edit(root: Path, old: str, new: str) -> None:
    table = root / "ISIC_2019_Training_GroundTruth.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new, 1))


def test_mio_tcd(tmp_path: Path) -> None:
    classes = CARDS["mio-tcd"].classes or ()
    for k, name in enumerate(classes):
        for j in range(2):
            save(
                tmp_path / "MIO-TCD-Classification" / "train" / name / f"{j}{k:04d}.jpg",
                np.full((9, 7 + j, 3), 11 * k + j, np.uint8),
            )
    save(tmp_path / "MIO-TCD-Classification" / "test" / "00000000.jpg", np.zeros((4, 4, 3), np.uint8))
    images, labels = isic_miotcd.load_miotcd(card("mio-tcd", 17, 5), Place(tmp_path, None, (5, 5)))
    assert (images.train_size, images.test_size, images.classes[6]) == (17, 5, "non-motorized_vehicle")
    test = np.sort(np.random.default_rng(12345).choice(22, size=5, replace=False))
    order = np.concatenate([np.delete(np.arange(22), test), test])
    assert labels.for_oracle().tolist() == (order // 2).tolist()
    np.testing.assert_array_equal(images.pixels[:, 2, 2, 1], 11 * (order // 2) + order % 2)
    for path in (tmp_path / "MIO-TCD-Classification" / "train" / "bus").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="none in bus"):
        isic_miotcd.load_miotcd(card("mio-tcd", 17, 5), Place(tmp_path, None, (5, 5)))
    with pytest.raises(InputError, match="MIO-TCD-Classification"):
        load(Data(name="mio-tcd"), tmp_path / "elsewhere")


@pytest.mark.parametrize("name", ["lueth2023-isic2019-low-supervised", "lueth2023-mio-tcd-low-pretrained"])
def test_the_presets_on_them_run_on_small_trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The preset as it is, but for fewer and smaller images, a smaller network and a shorter training."""
    p = load_preset(name)
    classes = CARDS[p.data.name].classes or ()
    each = 12
    rows = ["image," + ",".join([*classes, "UNK"])]
    for k, kind in enumerate(classes):
        for j in range(each):
            pixels = RNG.integers(0, 40, (20, 18, 3)).astype(np.uint8) + np.uint8(15 * k)
            if p.data.name == "mio-tcd":
                save(tmp_path / "MIO-TCD-Classification" / "train" / kind / f"{j}.jpg", pixels)
            else:
                rows.append(f"ISIC_{k}{j:02d}," + ",".join("1.0" if i == k else "0.0" for i in range(9)))
                save(tmp_path / "ISIC_2019_Training_Input" / f"ISIC_{k}{j:02d}.jpg", pixels)
    if p.data.name == "isic2019":
        (tmp_path / "ISIC_2019_Training_GroundTruth.csv").write_text("\n".join(rows) + "\n")
    total = each * len(classes)
    monkeypatch.setitem(CARDS, p.data.name, card(p.data.name, total - total // 4, total // 4))
    table = p.model_dump(mode="json") | {
        "budgets": [len(classes), 2 * len(classes)],
        "reference": None,
        "provenance": {},
    }
    table["data"]["size"] = [16, 16]
    table["splits"]["validation_size"] = len(classes)
    table["model"] = {"name": "small-cnn", "width": 4}
    table["regime"] |= {
        "epochs": 1,
        "epoch_at_least": 64,
        "batch_size": 32,
        "validate_every": 1,
        "precision": "float32",
    }
    table["regime"]["optimizer"]["warmup_steps"] = 1
    table["regime"]["augmentation"] |= {"shift": 2, "cutout": 8}
    if table["regime"]["pretraining"]:
        table["regime"]["pretraining"]["self_supervised"] |= {"epochs": 1, "batch_size": 32}
        table["regime"]["pretraining"]["self_supervised"]["optimizer"]["warmup_steps"] = 1
    study = parse(Study, {"name": "s", "protocols": [table], "strategies": [{"name": "random"}], "seeds": [0]}, name)
    folder = StudyFolder(tmp_path / "study")
    adopt(folder, study, tmp_path)
    result = perform(jobs(folder, study, tmp_path, "cpu", 1, planned_runs(study))[0])
    assert result.state == "done", result.message
    record = read(folder.run(RunId(name, "random", 0)).events)
    assert [r.budget for r in record.rounds] == [len(classes), 2 * len(classes)]
    assert all(0 <= r.metrics["balanced_accuracy"] <= 1 for r in record.rounds)
