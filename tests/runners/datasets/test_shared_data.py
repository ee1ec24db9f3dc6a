"""The real files, where they are; and the cache of decoded images."""

from __future__ import annotations

import io
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
from runners.datasets.loaders import cifar_jpeg


def test_fashion_mnist_is_the_official_one(data_root: Path) -> None:
    if not (data_root / "fashion_mnist").is_dir():
        pytest.skip("no fashion_mnist/ under the data root")
    images, labels = load(Data(name="fashion-mnist"), data_root)
    assert images.digest == CARDS["fashion-mnist"].digest
    assert np.bincount(labels.for_oracle()).tolist() == [7000] * 10
    with pytest.raises(InputError, match="the images of fashion-mnist"):
        load(Data(name="mnist"), data_root / "fashion_mnist")


def pack(path: Path, n_train: int = 4, n_test: int = 2) -> np.ndarray:
    """A small packed file of the same form; returns the decoded pixels."""
    rng = np.random.default_rng(3)
    arrays: dict[str, Any] = {"classes": np.asarray([f"c{k}" for k in range(10)])}
    decoded = []
    for part, n in (("train", n_train), ("test", n_test)):
        bodies = []
        for _ in range(n):
            buffer = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(buffer, "JPEG", quality=75)
            arrays["header"] = np.frombuffer(buffer.getvalue()[:100], np.uint8)
            bodies.append(buffer.getvalue()[100:])
            decoded.append(np.asarray(Image.open(buffer)))
        arrays[f"{part}_jpeg"] = np.frombuffer(b"".join(bodies), np.uint8)
        arrays[f"{part}_len"] = np.asarray([len(body) for body in bodies], np.uint16)
        arrays[f"{part}_label"] = np.arange(n, dtype=np.uint8)
    np.savez(path, **arrays)
    return np.stack(decoded)


def test_packed_jpegs_are_decoded_once_and_a_damaged_cache_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEATRANDOM_CACHE", str(tmp_path / "cache"))
    card = replace(CARDS["cifar10-jpeg"], n_train=4, n_test=2, digest=None)
    expected = pack(tmp_path / "cifar10_jpeg_full_50k_10k.npz")
    first, labels = cifar_jpeg.load(card, Place(tmp_path, None))
    np.testing.assert_array_equal(first.pixels, expected)
    assert labels.for_oracle().tolist() == [0, 1, 2, 3, 0, 1]
    again, _ = cifar_jpeg.load(card, Place(tmp_path, None))
    assert isinstance(again.pixels, np.memmap)
    assert again.digest == first.digest
    (kept,) = (tmp_path / "cache").glob("decoded/*/pixels.npy")
    whole = kept.read_bytes()
    for damaged in (whole[:50], whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        kept.write_bytes(damaged)
        mended, _ = cifar_jpeg.load(replace(card, digest=first.digest), Place(tmp_path, None))
        assert mended.digest == first.digest
        assert kept.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEATRANDOM_CACHE", str(tmp_path / "file"))
    expected = pack(tmp_path / "cifar10_jpeg_full_50k_10k.npz")
    images, _ = cifar_jpeg.load(replace(CARDS["cifar10-jpeg"], n_train=4, n_test=2, digest=None), Place(tmp_path, None))
    np.testing.assert_array_equal(images.pixels, expected)


def test_a_damaged_packed_file_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEATRANDOM_CACHE", str(tmp_path / "cache"))
    card = replace(CARDS["cifar10-jpeg"], n_train=4, n_test=2, digest=None)
    path = tmp_path / "cifar10_jpeg_full_50k_10k.npz"
    pack(path)
    arrays = dict(np.load(path))
    for change, says in (
        ({"train_len": arrays["train_len"][:-1]}, "3 images, 4 labels"),
        ({"train_jpeg": arrays["train_jpeg"][:-5]}, "the sum of train_len"),
        ({"test_jpeg": arrays["test_jpeg"][::-1]}, "JPEG"),
    ):
        np.savez(path, **(arrays | change))
        with pytest.raises(InputError, match=says):
            cifar_jpeg.load(card, Place(tmp_path, None))
    del arrays["header"]
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="no header"):
        cifar_jpeg.load(card, Place(tmp_path, None))
