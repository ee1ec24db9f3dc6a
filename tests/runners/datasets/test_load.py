"""Loaders on files the tests write, damaged ones among them."""

from __future__ import annotations

import gzip
import pickle
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from protocol.errors import InputError
from protocol.spec.data import Data
from runners.data import load
from runners.datasets import CARDS
from runners.datasets.file_search import Place
from runners.datasets.images import content_digest
from runners.datasets.loaders import cifar, idx, user_images

RNG = np.random.default_rng(7)
TRAIN = RNG.integers(0, 256, (12, 28, 28), dtype=np.uint8)
TEST = RNG.integers(0, 256, (5, 28, 28), dtype=np.uint8)
TRAIN_LABELS = np.arange(12, dtype=np.uint8) % 10
TEST_LABELS = np.asarray([3, 1, 4, 1, 5], np.uint8)
SMALL_MNIST = replace(CARDS["mnist"], n_train=12, n_test=5)


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(folder: Path, *, packed: bool, joint: str = "-") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in {
        f"train-images{joint}idx3-ubyte": TRAIN,
        f"train-labels{joint}idx1-ubyte": TRAIN_LABELS,
        f"t10k-images{joint}idx3-ubyte": TEST,
        f"t10k-labels{joint}idx1-ubyte": TEST_LABELS,
    }.items():
        data = idx_bytes(array)
        (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(data) if packed else data)


@pytest.mark.parametrize(
    ("folder", "packed", "joint"),
    [("MNIST/raw", False, "-"), ("mnist", True, "-"), (".", True, "."), ("MNIST", False, ".")],
)
def test_idx_files_give_training_then_test_images(tmp_path: Path, folder: str, packed: bool, joint: str) -> None:
    write_mnist(tmp_path / folder, packed=packed, joint=joint)
    images, labels = idx.load(SMALL_MNIST, Place(tmp_path, None))
    np.testing.assert_array_equal(images.pixels, np.concatenate([TRAIN, TEST])[..., None])
    np.testing.assert_array_equal(labels.for_oracle(), np.concatenate([TRAIN_LABELS, TEST_LABELS]))
    assert (images.train_size, images.test_size, images.n, images.channels) == (12, 5, 17, 1)
    assert labels.for_oracle().dtype == np.int64


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("keep", [0, 3, 20, 300])
def test_a_truncated_idx_file_is_named(tmp_path: Path, packed: bool, keep: int) -> None:
    write_mnist(tmp_path, packed=packed)
    file = tmp_path / ("train-images-idx3-ubyte" + ".gz" * packed)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError, match="train-images-idx3-ubyte"):
        idx.load(SMALL_MNIST, Place(tmp_path, None))


def test_an_idx_file_of_another_kind_or_count_is_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path, packed=False)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(TEST_LABELS[:4]))
    with pytest.raises(InputError, match="5 images, 4 labels"):
        idx.load(SMALL_MNIST, Place(tmp_path, None))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(TEST))
    with pytest.raises(InputError, match="1 dimensions"):
        idx.load(SMALL_MNIST, Place(tmp_path, None))
    write_mnist(tmp_path, packed=False)
    with pytest.raises(InputError, match=r"60000 training.*\n.*12 and 5"):
        idx.load(CARDS["mnist"], Place(tmp_path, None))


def test_a_missing_data_set_says_what_was_looked_for_and_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BEATRANDOM_DATA", raising=False)
    with pytest.raises(InputError) as missing:
        load(Data(name="fashion-mnist"), tmp_path)
    for part in ("FashionMNIST/raw", "idx3", "zalandoresearch/fashion-mnist", "--data-root", str(tmp_path)):
        assert part in str(missing.value)
    with pytest.raises(InputError, match="no --data-root"):
        load(Data(name="cifar10"), None)
    monkeypatch.setenv("BEATRANDOM_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"no folder .*nowhere"):
        load(Data(name="cifar10"), None)
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").touch()
    with pytest.raises(InputError, match="only cifar-10-batches-py/data_batch_3"):
        load(Data(name="cifar10"), tmp_path)


def test_unknown_names_and_stray_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'fashion-mnist'"):
        load(Data(name="fashion-mnits"), tmp_path)
    with pytest.raises(InputError, match=r"data\.path"):
        load(Data(name="digits", path="mine"), tmp_path)


def test_digits_are_what_scikit_learn_has_and_their_digest_is_checked() -> None:
    from sklearn.datasets import load_digits

    images, labels = load(Data(name="digits"), None)
    raw = load_digits()
    np.testing.assert_array_equal(labels.for_oracle(), raw.target)
    np.testing.assert_allclose(images.pixels[..., 0] / 255 * 16, raw.images, atol=0.04)
    assert images.digest == CARDS["digits"].digest
    with pytest.raises(InputError, match=r"the protocol's data\.digest"):
        load(Data(name="digits", digest="0" * 64), None)


def test_labels_cannot_be_printed_and_nothing_can_be_written() -> None:
    images, labels = load(Data(name="digits"), None)
    assert repr(labels) == str(labels) == f"{labels}" == "Labels(1797 hidden)"
    assert "array" not in repr(images)
    for array in (images.pixels, labels.for_oracle()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_the_digest_sees_pixels_labels_and_the_split() -> None:
    pixels, labels = TRAIN[..., None], TRAIN_LABELS.astype(np.int64)
    other_pixels, other_labels = pixels.copy(), labels.copy()
    other_pixels[3, 4, 5] ^= 1
    other_labels[2] = 9
    variants = [(pixels, labels, 12), (other_pixels, labels, 12), (pixels, other_labels, 12), (pixels, labels, 11)]
    assert len({content_digest(*variant) for variant in variants}) == 4


def write_batch(path: Path, key: bytes, n: int, seed: int) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(seed)
    data, labels = rng.integers(0, 256, (n, 3072), dtype=np.uint8), [int(k) for k in rng.integers(0, 10, n)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({b"data": data, key: labels, b"filenames": [b"a.png"] * n}, protocol=2))
    return data, labels


def test_cifar_batches_and_one_npz_give_the_same_content(tmp_path: Path) -> None:
    card = replace(CARDS["cifar10"], n_train=10, n_test=3)
    parts = [
        write_batch(tmp_path / "a/cifar-10-batches-py" / name, b"labels", 2, i)
        for i, name in enumerate(cifar._TEN[:-1])
    ]
    test, test_labels = write_batch(tmp_path / "a/cifar-10-batches-py/test_batch", b"labels", 3, 9)
    images, labels = cifar.load10(card, Place(tmp_path / "a", None))
    assert images.pixels[4, 1, 2, 0] == parts[2][0][0, 34]  # row 1, column 2 of the red plane
    assert images.pixels[4, 1, 2, 2] == parts[2][0][0, 2048 + 34]  # and of the blue one
    assert labels.for_oracle().tolist() == [k for _, part in parts for k in part] + test_labels

    def planes(data: np.ndarray) -> np.ndarray:
        return data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)

    train = np.concatenate([d for d, _ in parts])
    arrays: dict[str, Any] = {
        "x_train": planes(train),
        "y_train": np.asarray([[k] for _, part in parts for k in part]),
        "x_test": planes(test),
    }
    (tmp_path / "b").mkdir()
    np.savez(tmp_path / "b/cifar10.npz", **arrays, y_test=np.asarray(test_labels))
    assert cifar.load10(card, Place(tmp_path / "b", None))[0].digest == images.digest
    np.savez(tmp_path / "b/cifar10.npz", x_train=arrays["x_train"])
    with pytest.raises(InputError, match="train_images"):
        cifar.load10(card, Place(tmp_path / "b", None))


def test_cifar100_uses_the_fine_labels(tmp_path: Path) -> None:
    _, fine = write_batch(tmp_path / "cifar-100-python/train", b"fine_labels", 4, 1)
    write_batch(tmp_path / "cifar-100-python/test", b"fine_labels", 2, 2)
    images, labels = cifar.load100(replace(CARDS["cifar100"], n_train=4, n_test=2), Place(tmp_path, None))
    assert labels.for_oracle()[:4].tolist() == fine
    assert len(images.classes) == 100


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.mkdir, ("hacked",)


def test_a_batch_that_wants_to_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("train", "test"):
        write_batch(tmp_path / "cifar-100-python" / name, b"fine_labels", 2, 1)
    (tmp_path / "cifar-100-python/train").write_bytes(pickle.dumps({b"data": Hostile(), b"fine_labels": [1]}))
    with pytest.raises(InputError, match="mkdir"):
        cifar.load100(CARDS["cifar100"], Place(tmp_path, None))
    assert not (tmp_path / "hacked").exists()
    (tmp_path / "cifar-100-python/train").write_bytes(b"\x80\x02}")
    with pytest.raises(InputError, match="CIFAR batch"):
        cifar.load100(CARDS["cifar100"], Place(tmp_path, None))


def test_own_npz_with_and_without_a_test_set(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", images=TRAIN, labels=TRAIN_LABELS, classes=np.asarray([f"c{k}" for k in range(10)]))
    images, _ = load(Data(name="npz", path="mine.npz"), tmp_path)
    assert (images.test_size, images.classes[3], images.pixels.shape) == (0, "c3", (12, 28, 28, 1))
    np.savez(tmp_path / "mine.npz", images=TRAIN, labels=TRAIN_LABELS, test_images=TEST, test_labels=TEST_LABELS)
    images, labels = load(Data(name="npz", path=str(tmp_path / "mine.npz")), None)
    assert images.test_size == 5
    assert labels.for_oracle()[-5:].tolist() == [3, 1, 4, 1, 5]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"images": TRAIN}, "no labels"),
        ({"images": TRAIN / 255, "labels": TRAIN_LABELS}, "float64"),
        ({"images": TRAIN, "labels": TRAIN_LABELS.astype(float)}, "integers from 0"),
        ({"images": TRAIN, "labels": TRAIN_LABELS[:5]}, "12 images, 5 labels"),
        ({"images": TRAIN, "labels": np.zeros(12, int)}, "at least 2"),
        ({"images": TRAIN, "labels": np.arange(12) - 1}, r"\[-1\]"),
        ({"images": TRAIN[:, None].repeat(3, 1), "labels": TRAIN_LABELS}, "channels last"),
        ({"images": TRAIN, "labels": np.stack([TRAIN_LABELS] * 2, 1)}, "one class per image"),
        ({"images": TRAIN, "labels": TRAIN_LABELS, "classes": np.asarray(["a", "b"])}, "0 to 1"),
        ({"images": TRAIN, "labels": TRAIN_LABELS, "classes": np.asarray(["a"] * 10)}, "repeated"),
        ({"images": TRAIN, "labels": TRAIN_LABELS, "test_images": TEST}, "together"),
        (
            {"images": TRAIN, "labels": TRAIN_LABELS, "test_images": TEST[:, :9], "test_labels": TEST_LABELS},
            "training images' shape",
        ),
        ({"images": TRAIN[:0], "labels": TRAIN_LABELS[:0]}, "n >= 1"),
        ({"images": np.asarray([None] * 3), "labels": TRAIN_LABELS}, "Python objects"),
        ({"images": TRAIN, "labels": TRAIN_LABELS + 1}, r"none of class \[0\]"),
        ({"images": TRAIN, "labels": np.where(TRAIN_LABELS == 4, 5, TRAIN_LABELS)}, r"none of class \[4\]"),
        ({"images": TRAIN[..., None].repeat(4, 3), "labels": TRAIN_LABELS}, r"images\[..., :3\]"),
        ({"train_images": TRAIN, "train_labels": TRAIN_LABELS}, "medmnist"),
        ({"features": TRAIN, "labels": TRAIN_LABELS}, 'name = "features"'),
    ],
)
def test_unusable_npz_files_are_explained(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=says):
        load(Data(name="npz", path="bad.npz"), tmp_path)


def test_a_truncated_or_foreign_npz_is_named(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "good.npz", images=TRAIN, labels=TRAIN_LABELS)
    data = (tmp_path / "good.npz").read_bytes()
    for damaged in (b"", data[:60], data[: len(data) // 2], b"PK" + data[2:3000], b"plain text"):
        (tmp_path / "bad.npz").write_bytes(damaged)
        with pytest.raises(InputError, match=r"bad\.npz"):
            load(Data(name="npz", path="bad.npz"), tmp_path)
    with pytest.raises(InputError, match="nothing at"):
        load(Data(name="npz", path="none.npz"), tmp_path)
    with pytest.raises(InputError, match=r"data\.path"):
        load(Data(name="npz"), tmp_path)


def write_pictures(folder: Path, count: int, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new(mode, size, 10 * i if mode == "L" else (10 * i, 20, 30)).save(folder / f"{i}.png")


def test_a_folder_of_classes(tmp_path: Path) -> None:
    write_pictures(tmp_path / "cats", 2)
    write_pictures(tmp_path / "ants", 3)
    (tmp_path / "cats" / "notes.txt").touch()
    images, labels = load(Data(name="folder", path=str(tmp_path)), None)
    assert images.classes == ("ants", "cats")
    assert images.pixels.shape == (5, 4, 6, 3)
    assert labels.for_oracle().tolist() == [0, 0, 0, 1, 1]
    assert images.pixels[2, 0, 0].tolist() == [20, 20, 30]


def test_a_folder_with_train_and_test_in_grey(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("test", 1)):
        for name in ("a", "b"):
            write_pictures(tmp_path / part / name, count, mode="L")
    images, labels = user_images.load_folder(CARDS["folder"], Place(None, str(tmp_path)))
    assert (images.train_size, images.test_size, images.channels) == (6, 2, 1)
    assert labels.for_oracle().tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    write_pictures(tmp_path / "test" / "c", 1, mode="L")
    with pytest.raises(InputError, match="'c'"):
        user_images.load_folder(CARDS["folder"], Place(None, str(tmp_path)))


def test_unusable_folders_are_explained(tmp_path: Path) -> None:
    def fault() -> str:
        with pytest.raises(InputError) as error:
            load(Data(name="folder", path=str(tmp_path)), None)
        return str(error.value)

    assert "no folders" in fault()
    write_pictures(tmp_path / "a", 2)
    (tmp_path / "b").mkdir()
    assert "none in b" in fault()
    write_pictures(tmp_path / "b", 1, size=(9, 9))
    assert "2 of 6×4, 1 of 9×9" in fault()
    (tmp_path / "b" / "0.png").write_bytes((tmp_path / "a" / "0.png").read_bytes()[:30])
    (tmp_path / "b" / "1.png").write_bytes(b"not a picture")
    assert "0.png" in fault()
    assert "1.png" in fault()
    for file in (tmp_path / "b").iterdir():
        file.unlink()
    Image.fromarray(np.full((4, 6), 70_000, np.int32)).save(tmp_path / "b" / "0.tif")
    assert "8 bits" in fault()


def said(path: Path, **asked: Any) -> str:
    with pytest.raises(InputError) as error:
        load(Data(name="folder", path=str(path), **asked), None)
    return str(error.value)


def test_all_that_is_wrong_with_a_folder_is_said_at_once(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a", 2)
    write_pictures(tmp_path / "b", 1, size=(9, 9))
    (tmp_path / "c").mkdir()
    (tmp_path / "a" / "5.jpg").write_bytes(b"no picture")
    (tmp_path / "a" / "6.png").symlink_to(tmp_path / "nowhere.png")
    Image.fromarray(np.full((4, 6), 70_000, np.int32)).save(tmp_path / "b" / "9.tif")
    told = said(tmp_path)
    for part in ("none in c", "5.jpg", "a broken link", "3 of 6×4, 1 of 9×9", "1 of mode I: b/9.tif"):
        assert part in told
    for i in range(30):
        (tmp_path / "a" / f"bad-{i}.png").write_bytes(b"")
    assert "24 more" in said(tmp_path, size=(4, 4))


def test_images_that_lie_deeper_and_a_third_part_are_pointed_at(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos" / "cats" / "tabby", 1)
    write_pictures(tmp_path / "photos" / "dogs", 1)
    assert f"there are images in {tmp_path / 'photos' / 'cats' / 'tabby'}" in said(tmp_path / "photos")
    for part in ("train", "val", "test"):
        write_pictures(tmp_path / "three" / part / "a", 1)
    assert "test, train, val" in said(tmp_path / "three")
    assert "move the images of the other folders into train" in said(tmp_path / "three")


def test_every_truncated_image_is_named_though_its_header_is_whole(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a", 4, size=(60, 40))
    write_pictures(tmp_path / "b", 1, size=(60, 40))
    for name in ("1.png", "3.png"):
        whole = (tmp_path / "a" / name).read_bytes()
        (tmp_path / "a" / name).write_bytes(whole[: len(whole) - 40])
    told = said(tmp_path)
    assert "1.png" in told
    assert "3.png" in told


@pytest.mark.parametrize("ending", ["jpg", "webp", "png", "tif"])
def test_own_photographs_are_upright_as_viewers_show_them(tmp_path: Path, ending: str) -> None:
    upright = np.zeros((16, 32), np.uint8)
    upright[:, :16] = 255  # bright on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held on its side: turn by 90° to the right
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        turned = Image.fromarray(np.rot90(upright))
        options: dict[str, Any] = {"quality": 95} if ending != "tif" else {}
        turned.save(tmp_path / name / f"1.{ending}", exif=exif, **options)
    images, _ = load(Data(name="folder", path=str(tmp_path)), None)
    assert images.pixels.shape[1:3] == (16, 32)
    assert images.pixels[0, 4:12, 2:14].min() > 200
    assert images.pixels[0, 4:12, 18:30].max() < 55


def test_a_palette_with_transparency_gives_its_colours_without_a_word(tmp_path: Path) -> None:
    picture = Image.new("P", (6, 4), 1)
    picture.putpalette([0, 0, 0, 90, 80, 70])
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        picture.save(tmp_path / name / "1.png", transparency=bytes([255, 40]))
    images, _ = load(Data(name="folder", path=str(tmp_path)), None)  # warnings are errors here
    assert images.pixels[0, 0, 0].tolist() == [90, 80, 70]


def test_what_is_no_npz_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InputError, match="not a zip archive"):
        load(Data(name="npz", path="text.npz"), tmp_path)
    with pytest.raises(InputError, match="a folder of images is data set 'folder'"):
        load(Data(name="npz", path="."), tmp_path)
    with pytest.raises(InputError, match="relative paths start at"):
        load(Data(name="npz", path="not-there.npz"), None)
