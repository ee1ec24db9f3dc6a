"""`datasets` looks for files and reads none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocol.errors import InputError
from runners.data import locate
from runners.datasets import CARDS
from runners.datasets.registry import OWN
from runners.verbs.browse.datasets import datasets

FILES = {
    "fashion-mnist": (
        "fashion_mnist",
        [f"{p}-{k}-ubyte" for p in ("train", "t10k") for k in ("images-idx3", "labels-idx1")],
    ),
    "cifar10": (".", ["cifar10.npz"]),
    "cifar100": ("cifar-100-python", ["train", "test"]),
    "tiny-imagenet": ("tiny-imagenet-200", ["wnids.txt", "val/val_annotations.txt"]),
    "eurosat": ("eurosat/2750", ["AnnualCrop/1.jpg"]),
    "mio-tcd": ("MIO-TCD", ["train/car/1.jpg"]),
    "camvid": ("camvid", ["train.txt", "test.txt", "images/1.png", "labels/1.png"]),
    "voc2012": ("VOC2012", ["JPEGImages/1.jpg", "SegmentationClass/1.png", "ImageSets/Segmentation/train.txt"]),
}
"""Where each layout lies, and files of it."""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every layout of FILES, with nothing in any file that a loader could read."""
    monkeypatch.delenv("BEATRANDOM_DATA", raising=False)
    for folder, names in FILES.values():
        for name in names:
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_bytes(b"not what it should be")
    return tmp_path


@pytest.mark.parametrize("name", sorted(set(CARDS) - OWN))
def test_every_data_set_is_looked_for_and_not_read(root: Path, name: str) -> None:
    if not CARDS[name].files:
        assert locate(name, None) is None
        return
    with pytest.raises(InputError, match="no --data-root"):
        locate(name, None)
    if name in FILES:
        assert locate(name, root) == root / FILES[name][0]
    else:
        with pytest.raises(InputError, match="to do"):
            locate(name, root)


def test_a_file_of_that_name_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "train").write_bytes(b"a batch of CIFAR-100")
    with pytest.raises(InputError, match="only train"):
        locate("mio-tcd", tmp_path)
    (tmp_path / "train").unlink()
    (tmp_path / "train").mkdir()
    assert locate("mio-tcd", tmp_path) == tmp_path


def test_the_list_says_what_the_card_knows_and_where_files_lie(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    datasets(root, json=True)
    facts = {f["name"]: f for f in json.loads(capsys.readouterr().out)}
    assert (facts["cifar10"]["state"], facts["cifar10"]["place"]) == ("found", str(root))
    assert (facts["cifar10"]["train"], facts["cifar10"]["shape"]) == (50_000, [32, 32, 3])
    assert (facts["svhn"]["state"], facts["svhn"]["place"]) == ("not found", None)
    assert facts["digits"]["state"] == "found"
    (root / "train_32x32.mat").write_bytes(b"half of it")
    datasets(root, json=True)
    assert "only train_32x32.mat" in {f["name"]: f for f in json.loads(capsys.readouterr().out)}["svhn"]["state"]
    datasets(root, json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "Files were searched, not read" in shown
    assert "files that are searched: stl10_binary/" in shown
