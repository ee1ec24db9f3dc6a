from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch

from protocol.errors import InputError
from protocol.spec.protocol import Model
from runners.datasets import Images
from runners.models import MODELS, build, weights_digest


def images(side: int = 8, channels: int = 1, classes: int = 10) -> Images:
    pixels = np.zeros((2, side, side, channels), np.uint8)
    return Images("toy", pixels, 2, 0, tuple(str(k) for k in range(classes)), "")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("side", "channels"), [(8, 1), (28, 1), (32, 3)])
def test_logits_are_the_head_of_the_embedding_in_one_pass(name: str, side: int, channels: int) -> None:
    net = build(Model(name=name, dropout=0.5), images(side, channels, 7), seed=1).eval()
    x = torch.randn(3, channels, side, side, generator=torch.Generator().manual_seed(0))
    logits, embedded = net.both(x)
    assert logits.shape == (3, 7)
    assert embedded.shape == (3, net.embedding_size)
    torch.testing.assert_close(net.features(x), embedded)
    torch.testing.assert_close(net(x), net.head(embedded))
    assert logits.std(0).min() > 0


@pytest.mark.parametrize("name", MODELS)
def test_weights_depend_on_the_seed_alone_and_global_generators_are_left(name: str) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = weights_digest(build(Model(name=name), images(), seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert weights_digest(build(Model(name=name), images(), seed=1)) == first
    assert weights_digest(build(Model(name=name), images(), seed=2)) != first


def test_the_digest_sees_weights_and_batchnorm_statistics() -> None:
    net = build(Model(name="small-cnn"), images(), seed=1)
    seen = {weights_digest(net)}
    with torch.no_grad():
        for tensor in net.state_dict().values():
            tensor.view(-1)[0] += 1
            seen.add(weights_digest(net))
    assert len(seen) == 1 + len(net.state_dict())
    assert any("running_mean" in name for name in net.state_dict())


def test_width_widens_and_impossible_models_are_refused() -> None:
    narrow, wide = (build(Model(name="small-cnn", width=w), images(), seed=1) for w in (4, 8))
    assert wide.embedding_size == 2 * narrow.embedding_size
    with pytest.raises(InputError, match="did you mean 'resnet18'"):
        build(Model(name="resnet-18"), images(), seed=1)
    with pytest.raises(InputError, match=r"model\.width"):
        build(Model(name="resnet18", width=32), images(), seed=1)


def test_resnet18_does_not_shrink_small_images_at_once() -> None:
    net = build(Model(name="resnet18"), images(32, 3), seed=1).eval()
    body: Any = net.body
    assert body.conv1(torch.zeros(1, 3, 32, 32)).shape == (1, 64, 32, 32)
    assert body.layer4(body.layer3(body.layer2(body.layer1(torch.zeros(1, 64, 32, 32))))).shape == (1, 512, 4, 4)
    assert sum(p.numel() for p in net.parameters()) == 11_173_962  # the usual CIFAR ResNet-18


def test_wrn_28_2_and_vgg16_have_the_usual_sizes() -> None:
    wide, vgg = (build(Model(name=name), images(32, 3), seed=1).eval() for name in ("wrn-28-2", "vgg16-bn"))
    assert sum(p.numel() for p in wide.parameters()) == 1_467_610  # the usual CIFAR WRN-28-2
    assert sum(isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3) for m in wide.modules()) == 25
    wide_body, vgg_body = (cast(torch.nn.Sequential, net.body) for net in (wide, vgg))
    assert wide_body[:-4](torch.zeros(1, 3, 32, 32)).shape == (1, 128, 8, 8)
    assert sum(p.numel() for p in vgg.parameters()) == 14_728_266  # 13 convolutions, one linear layer
    assert vgg_body[0](torch.zeros(1, 3, 32, 32)).shape == (1, 512, 1, 1)
    with pytest.raises(InputError, match="wrn-28-2 has one width"):
        build(Model(name="wrn-28-2", width=64), images(32, 3), seed=1)


def test_the_imagenet_stem_halves_images_five_times() -> None:
    net = build(Model(name="resnet18-imagenet"), images(64, 3), seed=1).eval()
    seen: list[torch.Size] = []
    net.body.layer4.register_forward_hook(lambda *found: seen.append(found[2].shape))  # type: ignore[union-attr]
    assert net.features(torch.zeros(2, 3, 64, 64)).shape == (2, 512)
    assert seen == [(2, 512, 2, 2)]
    assert build(Model(name="resnet18-imagenet"), images(64, 1), seed=1).features(torch.zeros(1, 1, 64, 64)).shape == (
        1,
        512,
    )
