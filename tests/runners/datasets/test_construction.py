"""Long tails, unknown classes and near-copies, made from a small data set with an official test set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import InputError
from protocol.spec.data import Data
from protocol.spec.protocol import Protocol
from protocol.spec.toml_files import parse
from runners.data import load
from runners.datasets import Images

COUNTS = (40, 40, 60, 30)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(4), COUNTS))
    images = rng.integers(20, 230, (170, 6, 5)).astype(np.uint8)
    tests = rng.integers(0, 256, (12, 6, 5)).astype(np.uint8)
    names = np.asarray(["ant", "bee", "cat", "dog"])
    arrays: dict[str, Any] = {
        "images": images,
        "labels": labels,
        "test_images": tests,
        "test_labels": np.arange(12) % 4,
        "classes": names,
    }
    np.savez(tmp_path / "small.npz", **arrays)
    return tmp_path


def made(root: Path, **construction: Any) -> tuple[Images, np.ndarray]:
    data = parse(
        Data, {"name": "npz", "path": "small.npz"} | ({"construction": construction} if construction else {}), "d"
    )
    images, labels = load(data, root)
    return images, labels.for_oracle()


def rows(images: Images) -> list[bytes]:
    return [image.tobytes() for image in images.pixels]


def test_a_long_tail_keeps_exponentially_fewer_images_in_the_order_of_the_classes(root: Path) -> None:
    whole, labels = made(root)
    images, kept = made(root, long_tail=8.0)
    assert np.bincount(kept[: images.train_size]).tolist() == [
        40,
        30,
        15,
        7,
    ]  # 60 / 8^(k/3), and no more than there are
    assert np.array_equal(images.pixels[images.train_size :], whole.pixels[170:])
    truth = dict(zip(rows(whole), labels, strict=True))
    assert [truth[row] for row in rows(images)] == kept.tolist()
    assert images.digest != whole.digest
    again, _ = made(root, long_tail=8.0)
    assert (again.digest, rows(again)) == (images.digest, rows(images))
    assert made(root, long_tail=4.0)[0].digest != images.digest


def test_unknown_classes_stay_in_the_pool_and_leave_the_test_set(root: Path) -> None:
    whole, labels = made(root)
    images, told = made(root, unknown_classes=["bee", "dog"])
    assert images.classes == ("ant", "cat")
    assert (images.train_size, images.test_size) == (170, 6)
    assert told[:170].tolist() == [{0: 0, 1: -1, 2: 1, 3: -1}[k] for k in labels[:170]]
    assert sorted(told[170:]) == [0, 0, 0, 1, 1, 1]
    assert np.array_equal(images.pixels[:170], whole.pixels[:170])


def test_unknown_classes_are_not_thinned(root: Path) -> None:
    _, told = made(root, unknown_classes=["cat"], long_tail=4.0)
    assert (told == -1).sum() == 60
    assert np.bincount(told[told >= 0][:-9]).tolist() == [40, 20, 10]


def test_near_copies_replace_images_and_keep_the_class(root: Path) -> None:
    whole, labels = made(root)
    images, told = made(root, redundancy=0.5, copy_noise=2)
    assert (images.train_size, images.n) == (170, 182)
    originals = {row: k for k, row in enumerate(rows(whole))}
    new = [i for i, row in enumerate(rows(images)) if row not in originals]
    assert 80 <= len(new) <= 85
    far = np.abs(images.pixels[new][:, None].astype(int) - whole.pixels[None, :170]).max((2, 3, 4))
    assert (far.min(1) <= 2).all()
    assert (far.min(1) > 0).all()
    assert told[new].tolist() == labels[far.argmin(1)].tolist()
    assert np.array_equal(images.pixels[170:], whole.pixels[170:])
    assert not images.pixels.flags.writeable


@pytest.mark.parametrize(
    ("construction", "text"),
    [
        ({"unknown_classes": ["bees"]}, "bee"),
        ({"unknown_classes": ["ant", "bee", "cat"]}, "at least 2 classes"),
        ({"redundancy": 0.999}, "leaves an image"),
        ({"copy_noise": 2}, "found none of the four"),
        ({"long_tail": 0.5}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_made_is_refused(root: Path, construction: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        made(root, **construction)


def test_the_digest_that_is_expected_is_that_of_the_content(root: Path) -> None:
    whole, _ = made(root)
    table = {"name": "npz", "path": "small.npz", "digest": whole.digest, "construction": {"long_tail": 2.0}}
    data = parse(Data, table, "d")
    images, _ = load(data, root)
    assert images.digest == data.recorded_digest(whole.digest) != whole.digest


@pytest.mark.parametrize(
    ("construction", "splits", "text"),
    [
        ({"unknown_classes": ["a"]}, {"test_size": 9}, "official test set"),
        ({"redundancy": 0.5}, {"test_size": 9}, "near-copies"),
        ({"redundancy": 0.5}, {"validation_size": 9, "validation_counted": False}, "near-copies"),
    ],
)
def test_constructions_that_would_leak_are_refused(
    construction: dict[str, Any], splits: dict[str, Any], text: str
) -> None:
    regime = {"name": "plain", "steps": 5, "batch_size": 8, "optimizer": {"name": "sgd", "lr": 0.1}}
    data = {"name": "npz", "path": "small.npz", "construction": construction}
    table = {
        "name": "p",
        "data": data,
        "splits": splits,
        "budgets": [10],
        "model": {"name": "linear"},
        "regime": regime,
    }
    with pytest.raises(InputError, match=text):
        parse(Protocol, table, "p")


@pytest.mark.parametrize(
    ("length", "starts"),
    [(1, [0, 8, 17, 25, 34, 42, 51, 59, 68, 76, 85, 93, 102, 110, 119, 127, 136, 144, 153, 161]), (10, [0, 85])],
)
def test_a_sequence_is_kept_in_stretches_of_neighbours_as_many_images_whatever_their_length(
    root: Path, length: int, starts: list[int]
) -> None:
    whole, labels = made(root)
    images, told = made(root, sequence={"frames": 20, "length": length})
    kept = [start + i for start in starts for i in range(length)]
    assert (images.train_size, images.test_size) == (20, 12)
    np.testing.assert_array_equal(images.pixels, whole.pixels[[*kept, *range(170, 182)]])
    np.testing.assert_array_equal(told, labels[[*kept, *range(170, 182)]])
    assert images.digest != whole.digest


def test_a_sequence_has_no_more_images_than_there_are_whole_stretches_and_nothing_beside_it(root: Path) -> None:
    with pytest.raises(InputError, match="at most the 170 training images"):
        made(root, sequence={"frames": 180, "length": 10})
    with pytest.raises(InputError, match="multiple of length, found 20 and 3"):
        made(root, sequence={"frames": 20, "length": 3})
    with pytest.raises(InputError, match="sequence alone"):
        made(root, sequence={"frames": 20, "length": 1}, redundancy=0.5)
