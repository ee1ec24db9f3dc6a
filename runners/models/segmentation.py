"""Segmentation networks by name: a small U-Net, torchvision's and segmentation_models_pytorch's."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.errors import Fault, InputError, unknown_name
from protocol.spec.protocol import Model
from runners.datasets.images import Images
from runners.models.dense import DenseNet, MapBody, UNet

SMP: Final = "smp:"
_HALVINGS: Final = 3

Body = Callable[[Model, Images], tuple[MapBody, int, int]]
"""(model, images) → (module, channels of its features, channels of its deepest map)."""


def refuse_unknown(name: str, where: str = "model.name") -> None:
    """Raise InputError if no segmentation network has this name."""
    if name not in MODELS and not (name.startswith(SMP) and name.removeprefix(SMP)):
        raise InputError(unknown_name(where, name, [*MODELS, f"{SMP}NAME"]))


def build(model: Model, images: Images, seed: int) -> DenseNet:
    """Build a network on the CPU; its initial weights depend on the arguments only.

    Raises:
        InputError: unknown name, a width that the network cannot have, or a missing package.
    """
    refuse_unknown(model.name)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed: that would seed the accelerators as well
        body, width, deepest = MODELS.get(model.name, _smp)(model, images)
        return DenseNet(body, width, deepest, len(images.classes), model.dropout)


def _unet(model: Model, images: Images) -> tuple[MapBody, int, int]:
    net = UNet(images.channels, model.width or 16, _HALVINGS)
    return net, net.width, net.deepest


class _Torchvision(MapBody):
    """A backbone and a decoder of torchvision.

    Args:
        backbone: maps images to {name: feature map}.
        decoder: maps these to the features before the last layer.
        names: names of the feature maps, the deepest last.
    """

    def __init__(self, backbone: nn.Module, decoder: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.backbone, self.decoder, self._names = backbone, decoder, names

    def encoding(self) -> nn.Module:
        return self.backbone

    def encode(self, x: Tensor) -> list[Tensor]:
        maps: dict[str, Tensor] = self.backbone(x)
        return [maps[name] for name in self._names]

    def decode(self, maps: list[Tensor]) -> Tensor:
        features: Tensor = self.decoder(dict(zip(self._names, maps, strict=True)))
        return features


class _Deepest(nn.Module):
    """A decoder that uses the deepest map only."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, maps: dict[str, Tensor]) -> Tensor:
        decoded: Tensor = self.inner(maps["out"])
        return decoded


class _LRASPP(nn.Module):
    """Lite R-ASPP up to its last layer (Howard et al. 2019, arXiv 1905.02244, figure 10).

    The last layer is one layer over both branches here.
    """

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.cbr, self.scale = inner.cbr, inner.scale

    def forward(self, maps: dict[str, Tensor]) -> Tensor:
        high: Tensor = self.cbr(maps["high"]) * self.scale(maps["high"])
        return torch.cat(
            [F.interpolate(high, maps["low"].shape[2:], mode="bilinear", align_corners=False), maps["low"]], 1
        )


def _deeplab(kind: str, deepest: int) -> Body:
    def make(model: Model, images: Images) -> tuple[MapBody, int, int]:
        from torchvision.models import segmentation  # slow to import, so only where it is used

        _refuse_unsupported(model, images)
        net = getattr(segmentation, kind)(weights=None, weights_backbone=None, num_classes=2)
        decoder = nn.Sequential(*list(net.classifier)[:-1])  # all but the last layer, which is the head here
        return _Torchvision(net.backbone, _Deepest(decoder), ("out",)), 256, deepest

    return make


def _lraspp(model: Model, images: Images) -> tuple[MapBody, int, int]:
    from torchvision.models import segmentation  # slow to import, so only where it is used

    _refuse_unsupported(model, images)
    net = segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=2)
    low = net.classifier.low_classifier.in_channels
    return (
        _Torchvision(net.backbone, _LRASPP(net.classifier), ("low", "high")),
        low + net.classifier.high_classifier.in_channels,
        960,
    )


def _refuse_unsupported(model: Model, images: Images) -> None:
    faults = []
    if model.width is not None:
        faults.append(
            Fault("model.width", f"none: {model.name} has one width", str(model.width), "remove it, or use unet-small")
        )
    if images.channels != 3:
        faults.append(
            Fault("model.name", f"colour images for {model.name}", f"{images.channels} channels", "use unet-small")
        )
    if faults:
        raise InputError(faults)


class _Smp(MapBody):
    """Encoder and decoder of segmentation_models_pytorch."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.encoder, self.decoder = net.encoder, net.decoder

    def encoding(self) -> nn.Module:
        encoder: nn.Module = self.encoder
        return encoder

    def encode(self, x: Tensor) -> list[Tensor]:
        return list(self.encoder(x))

    def decode(self, maps: list[Tensor]) -> Tensor:
        features: Tensor = self.decoder(maps)
        return features


def _smp(model: Model, images: Images) -> tuple[MapBody, int, int]:
    """Build `smp:Architecture` or `smp:Architecture:encoder`, such as smp:Unet:resnet18."""
    name, _, encoder = model.name.removeprefix(SMP).partition(":")
    library = _library()
    try:
        net = library.create_model(
            name, encoder_name=encoder or "resnet34", encoder_weights=None, in_channels=images.channels, classes=2
        )
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(
            Fault("model.name", "an architecture and encoder of segmentation_models_pytorch", f"{model.name}: {error}")
        ) from None
    net.eval()  # in training mode, BatchNorm refuses a single image
    with torch.no_grad():
        features, deepest = _Smp(net)(torch.zeros(1, images.channels, images.height, images.width))
    net.train()
    return _Smp(net), features.shape[1], deepest.shape[1]


def _library() -> ModuleType:
    try:
        import segmentation_models_pytorch as smp  # optional
    except ModuleNotFoundError as error:
        fix = "install the extra: uv sync --extra smp"
        raise InputError(Fault("model.name", "segmentation_models_pytorch", f"not installed ({error})", fix)) from None
    library: ModuleType = smp
    return library


MODELS: Final[dict[str, Body]] = {
    "unet-small": _unet,
    "deeplabv3-resnet50": _deeplab("deeplabv3_resnet50", 2048),
    "deeplabv3-resnet101": _deeplab("deeplabv3_resnet101", 2048),
    "deeplabv3-mobilenet": _deeplab("deeplabv3_mobilenet_v3_large", 960),
    "lraspp-mobilenet": _lraspp,
}
"""Bodies by name."""
