"""Segmentation networks by name: shapes, equal weights for equal seeds, gradients as autograd gives them."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from protocol.errors import InputError
from protocol.metrics import VOID
from protocol.spec.protocol import Model
from runners.datasets import Images
from runners.features.segmentation import _gradient
from runners.models import weights_digest
from runners.models.segmentation import build
from runners.regimes.methods.supervised_maps import pixel_cross_entropy


def images(channels: int = 3, side: int = 64) -> Images:
    return Images("x", np.zeros((1, side, side, channels), np.uint8), 1, 0, ("a", "b", "c", "d"), "")


@pytest.mark.parametrize("name", ["unet-small", "lraspp-mobilenet", "deeplabv3-mobilenet"])
def test_every_pixel_is_classified_and_weights_depend_on_the_seed_alone(name: str) -> None:
    model = Model(name=name)
    before = torch.random.get_rng_state()
    net = build(model, images(), 3).eval()
    assert torch.equal(before, torch.random.get_rng_state())
    with torch.no_grad():
        maps = net.maps(torch.randn(2, 3, 64, 64))
    assert maps.logits.shape == (2, 4, 64, 64)
    assert maps.embedded.shape == (2, net.embedding_size)
    assert maps.features.shape[1] == net.head.in_channels
    assert weights_digest(net) == weights_digest(build(model, images(), 3)) != weights_digest(build(model, images(), 4))


def test_the_unet_takes_any_sides_and_grey_images() -> None:
    net = build(Model(name="unet-small", width=4, dropout=0.2), images(1), 0).eval()
    for height, width in ((9, 13), (24, 24), (8, 30)):
        assert net(torch.zeros(1, 1, height, width)).shape == (1, 4, height, width)


def test_lraspp_is_torchvisions() -> None:
    """One head over both branches is the sum of torchvision's two."""
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    net = build(Model(name="lraspp-mobilenet"), images(), 0).eval()
    theirs = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4).eval()
    body: Any = net.body
    theirs.backbone.load_state_dict(body.backbone.state_dict())
    theirs.classifier.cbr.load_state_dict(body.decoder.cbr.state_dict())
    theirs.classifier.scale.load_state_dict(body.decoder.scale.state_dict())
    high = theirs.classifier.high_classifier
    with torch.no_grad():
        high.weight.copy_(net.head.weight[:, : high.in_channels])
        high.bias.copy_(net.head.bias)
        theirs.classifier.low_classifier.weight.copy_(net.head.weight[:, high.in_channels :])
        theirs.classifier.low_classifier.bias.zero_()
        x = torch.randn(2, 3, 64, 64)
        torch.testing.assert_close(net(x), theirs(x)["out"], atol=1e-5, rtol=1e-4)


@pytest.mark.skipif(
    importlib.util.find_spec("segmentation_models_pytorch") is None, reason="the extra smp is not installed"
)
def test_networks_of_segmentation_models_pytorch() -> None:
    net = build(Model(name="smp:Unet:resnet18"), images(), 0).eval()
    assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 4, 64, 64)
    with pytest.raises(InputError, match="smp:Nonsense"):
        build(Model(name="smp:Nonsense"), images(), 0)


@pytest.mark.skipif(
    importlib.util.find_spec("segmentation_models_pytorch") is not None, reason="the extra smp is installed"
)
def test_without_the_extra_it_is_said_how_to_get_it() -> None:
    with pytest.raises(InputError, match="uv sync --extra smp"):
        build(Model(name="smp:Unet"), images(), 0)


def test_unknown_names_and_what_is_fixed_are_told() -> None:
    with pytest.raises(InputError, match="did you mean 'unet-small'"):
        build(Model(name="unet-smal"), images(), 0)
    with pytest.raises(InputError) as told:
        build(Model(name="deeplabv3-resnet50", width=8), images(1), 0)
    assert len(told.value.faults) == 2


def test_badges_gradient_is_autograds() -> None:
    net = build(Model(name="unet-small", width=4), images(1), 0).eval()
    x = torch.randn(3, 1, 16, 16)
    with torch.no_grad():
        maps = net.maps(x)
    got = _gradient(maps.logits.softmax(1), maps.features)
    for i in range(3):
        logits = net(x[i : i + 1])
        loss = torch.nn.functional.cross_entropy(logits, logits.argmax(1))
        expected = torch.autograd.grad(loss, net.head.weight)[0].flatten()
        torch.testing.assert_close(got[i], expected, atol=1e-6, rtol=1e-4)


def test_void_pixels_have_no_say_in_the_loss() -> None:
    logits = torch.randn(2, 4, 5, 5, requires_grad=True)
    maps = torch.randint(0, 4, (2, 5, 5)).to(torch.uint8)
    maps[0, :3], maps[1] = VOID, VOID
    loss = pixel_cross_entropy(logits, maps, 0.1)
    known = maps != VOID
    flat = torch.nn.functional.cross_entropy(logits.permute(0, 2, 3, 1)[known], maps[known].long(), label_smoothing=0.1)
    torch.testing.assert_close(loss, flat)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient.permute(0, 2, 3, 1)[~known] == 0).all()
    assert pixel_cross_entropy(logits, torch.full_like(maps, VOID)) == 0
