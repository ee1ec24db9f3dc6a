"""Classification networks by name, with initial weights that depend on the seed only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import nn

from protocol.errors import Fault, InputError, unknown_name
from protocol.spec.protocol import Model
from runners.datasets.images import Images
from runners.models import small_cnn, wide_resnet
from runners.models.net import Net, weights_digest

__all__ = ["MODELS", "Net", "build", "weights_digest"]

Body = Callable[[Model, Images], tuple[nn.Module, int]]


def build(model: Model, images: Images, seed: int) -> Net:
    """Build a network on the CPU; its initial weights depend on the arguments only.

    Args:
        model: name, width, dropout.
        images: gives channels, height, width and the number of classes.
        seed: seed of the run's model stream. The global generators keep their state.

    Raises:
        InputError: unknown name, or a width that the network cannot have.
    """
    if model.name not in MODELS:
        raise InputError(unknown_name("model.name", model.name, list(MODELS)))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed: that would seed the accelerators as well
        body, size = MODELS[model.name](model, images)
        return Net(body, size, len(images.classes), model.dropout)


def _small_cnn(model: Model, images: Images) -> tuple[nn.Module, int]:
    return small_cnn.body(images.channels, images.height, images.width, model.width or 16)


def _resnet18(model: Model, images: Images) -> tuple[nn.Module, int]:
    from torchvision.models import resnet18  # slow to import, so only where it is used

    _refuse_width(model, 64, "resnet18")
    net = resnet18(weights=None)
    # the CIFAR stem, which keeps the size of small images
    net.conv1 = nn.Conv2d(images.channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")  # as in torchvision
    net.maxpool = nn.Identity()
    net.fc = nn.Identity()
    return net, 512


def _resnet18_imagenet(model: Model, images: Images) -> tuple[nn.Module, int]:
    from torchvision.models import resnet18  # as above

    _refuse_width(model, 64, "resnet18-imagenet")
    net = resnet18(weights=None)
    if images.channels != 3:
        net.conv1 = nn.Conv2d(images.channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.fc = nn.Identity()
    return net, 512


def _wrn28(model: Model, images: Images) -> tuple[nn.Module, int]:
    _refuse_width(model, 32, "wrn-28-2")
    return wide_resnet.body(images.channels, 28, 2)


def _vgg16(model: Model, images: Images) -> tuple[nn.Module, int]:
    # the whole network would draw 120 million weights of a head that is not used
    from torchvision.models.vgg import cfgs, make_layers

    _refuse_width(model, 64, "vgg16-bn")
    features = make_layers(cfgs["D"], batch_norm=True)
    if images.channels != 3:
        features[0] = nn.Conv2d(images.channels, 64, 3, padding=1)
    for layer in features:
        if isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = True  # five halvings of images smaller than 32 pixels leave one pixel, not none
        elif isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")  # as in torchvision
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 512


def _refuse_width(model: Model, width: int, name: str) -> None:
    if model.width not in (None, width):
        raise InputError(
            Fault(
                "model.width", f"{width} or none: {name} has one width", str(model.width), "remove it, or use small-cnn"
            )
        )


def _linear(model: Model, images: Images) -> tuple[nn.Module, int]:
    if model.width is not None:
        raise InputError(
            Fault("model.width", "none: linear has no hidden layer", str(model.width), "remove it, or use mlp")
        )
    return nn.Flatten(), images.channels * images.height * images.width


def _mlp(model: Model, images: Images) -> tuple[nn.Module, int]:
    width = model.width or 256
    return nn.Sequential(
        nn.Flatten(), nn.Linear(images.channels * images.height * images.width, width), nn.ReLU()
    ), width


MODELS: Final[dict[str, Body]] = {
    "small-cnn": _small_cnn,
    "resnet18": _resnet18,
    "resnet18-imagenet": _resnet18_imagenet,
    "wrn-28-2": _wrn28,
    "vgg16-bn": _vgg16,
    "linear": _linear,
    "mlp": _mlp,
}
"""Bodies by name: (model, images) → (module, embedding size).

resnet18 is for small images. resnet18-imagenet halves them twice more, for images of a hundred pixels and more.
"""
