"""Image files of any size, in memory or mapped from the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from protocol.errors import InputError
from protocol.spec.data import Data
from runners.caching import cached_array
from runners.data import load
from runners.datasets import decoding
from runners.datasets.decoding import decode


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    out = []
    for i in range(9):
        out.append(tmp_path / f"{i}.png")
        Image.fromarray(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)).save(out[-1])
    return out


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BEATRANDOM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("grey", [True, False])
def test_mapped_images_are_those_in_memory(files: list[Path], cache: Path, grey: bool) -> None:
    here = decode(files, (6, 8), grey)
    mapped = decode(files, (6, 8), grey, in_memory=10)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, here)
    assert here.shape == (9, 6, 8, 1 if grey else 3)
    [kept] = cache.glob("decoded/*/pixels.npy")
    before = kept.stat().st_mtime_ns
    np.testing.assert_array_equal(decode(files, (6, 8), grey, in_memory=10), here)
    assert kept.stat().st_mtime_ns == before  # not decoded again


def test_a_changed_file_is_decoded_again(files: list[Path]) -> None:
    before = np.array(decode(files, (6, 8), grey=False, in_memory=10))
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(files[4])
    after = decode(files, (6, 8), grey=False, in_memory=10)
    assert after[4].max() == 0
    np.testing.assert_array_equal(np.delete(after, 4, 0), np.delete(before, 4, 0))


def test_an_unreadable_image_is_named_and_nothing_is_kept(files: list[Path], cache: Path) -> None:
    files[3].write_bytes(b"no image")
    with pytest.raises(InputError, match=r"3\.png"):
        decode(files, (6, 8), grey=False, in_memory=10)
    assert not [p for p in cache.rglob("*") if p.is_file() and p.name != ".lock" and ".claims" not in p.parts]


def test_no_room_in_the_cache_is_memory_and_none_at_all_bad_input(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BEATRANDOM_CACHE", str(tmp_path / "file"))
    np.testing.assert_array_equal(decode(files, (6, 8), grey=False, in_memory=10), decode(files, (6, 8), grey=False))
    assert "BEATRANDOM_CACHE" in capsys.readouterr().err
    monkeypatch.setattr(cached_array, "available_mib", lambda: 1e-4)
    with pytest.raises(InputError, match="BEATRANDOM_CACHE"):
        decode(files, (6, 8), grey=False, in_memory=10)


def test_images_are_scaled_to_cover_and_the_middle_is_kept(tmp_path: Path) -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 8:22] = 200  # a filter may look past the cut
    Image.fromarray(wide).save(tmp_path / "wide.png")
    tall = np.full((40, 20, 3), 70, np.uint8)
    Image.fromarray(tall).save(tmp_path / "tall.png")
    out = decode([tmp_path / "wide.png", tmp_path / "tall.png"], (5, 5), grey=False)
    assert (out[0] == 200).all()
    assert (out[1] == 70).all()


def test_a_folder_of_images_of_many_sizes_has_the_size_of_the_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    for name, shape in (("a/1.png", (9, 12, 3)), ("a/2.png", (20, 10, 3)), ("b/1.png", (7, 7, 3))):
        path = tmp_path / "mixed" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8)).save(path)
    with pytest.raises(InputError, match=r"data\.size"):
        load(Data(name="folder", path="mixed"), tmp_path)
    images, labels = load(Data(name="folder", path="mixed", size=(6, 5)), tmp_path)
    assert images.pixels.shape == (3, 6, 5, 3)
    assert labels.for_oracle().tolist() == [0, 0, 1]
    monkeypatch.setattr(decoding.decode, "__defaults__", (10,))
    mapped, _ = load(Data(name="folder", path="mixed", size=(6, 5)), tmp_path)
    assert isinstance(mapped.pixels, np.memmap)
    assert mapped.digest == images.digest
    with pytest.raises(InputError, match="one size"):
        load(Data(name="digits", size=(6, 5)), None)
