"""Networks of timm and torchvision as encoders, without their last layer.

Weights must match every tensor.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.errors import Fault, InputError
from protocol.spec.data import PACKAGED, PRETRAINED, UNTRAINED, Encoder
from runners.datasets.files import find_file
from runners.encoding import packaged
from runners.machine.device import plain_kernels
from runners.models.net import state_digest
from runners.models.weights_file import read_tensors

_IMAGENET: Final = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's channels, with which torchvision's weights were trained."""
_SIDE: Final = 224
_PREFIXES: Final = ("module.", "backbone.", "model.")
_SHOWN: Final = 4


@dataclass(frozen=True)
class Network:
    """A network that embeds images (b, 3, side, side) as (b, d).

    Attributes:
        side: height and width in pixels that images are resized to.
        mean: mean per channel, of values in [0, 1].
        deviation: standard deviation per channel.
    """

    body: nn.Module
    side: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @property
    def preprocessing(self) -> str:
        """Return in words what is done to images."""
        mean, deviation = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.deviation))
        return (
            f"of the images as read: shorter side scaled to {self.side} pixels (bicubic, antialiased), middle "
            f"{self.side}×{self.side} cropped, values in [0, 1] minus ({mean}), divided by ({deviation})"
        )

    @property
    def digest(self) -> str:
        """Return the SHA-256 of all tensors."""
        return state_digest(self.body.state_dict())

    def __call__(self, images: NDArray[np.uint8], device: torch.device) -> NDArray[np.float32]:
        """Compute embeddings (b, d) of images (b, height, width, 1 or 3).

        Grey images get three equal channels.
        """
        with torch.inference_mode(), plain_kernels(device):
            x = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float() / 255
            x = resize_and_crop(x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x, self.side)
            mean, deviation = (
                torch.tensor(values, device=device).view(1, -1, 1, 1) for values in (self.mean, self.deviation)
            )
            out = self.body((x - mean) / deviation)
            embedded: NDArray[np.float32] = out.flatten(1).float().cpu().numpy()
            return embedded


def resize_and_crop(x: Tensor, side: int) -> Tensor:
    """Resize images until the shorter side is `side`, and crop the middle of the longer one.

    Args:
        x: (b, channels, height, width) in [0, 1].

    Returns:
        (b, channels, side, side) in [0, 1].
    """
    height, width = x.shape[2:]
    if min(height, width) != side:
        size = [max(side, round(length * side / min(height, width))) for length in (height, width)]
        x = F.interpolate(x, size=size, mode="bicubic", antialias=True).clamp(0, 1)
    top, left = ((length - side) // 2 for length in x.shape[2:])
    return x[:, :, top : top + side, left : left + side]


def build(encoder: Encoder, root: Path | None) -> Network:
    """Build the network with its weights, on the CPU, in evaluation mode.

    The global random generators keep their state.

    Raises:
        InputError: the library is not installed, knows no such network, or cannot fetch weights; or the tensors of
            a file do not match those of the network (the last layer excepted).
    """
    library, _, name = encoder.name.partition(":")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # for untrained weights
        if encoder.packaged:
            network = _packaged(encoder)
        else:
            network = (_timm if library == "timm" else _torchvision)(name, encoder, root)
    network.body.eval().requires_grad_(requires_grad=False)
    return network


def _packaged(encoder: Encoder) -> Network:
    """Build timm's network with the weights of a package."""
    try:
        timm = import_module("timm")
    except ImportError:
        raise InputError(packaged.missing(encoder.name, "the package timm")) from None
    body = timm.create_model(packaged.network_of(encoder.name), pretrained=False)
    tensors = read_tensors(packaged.weights_of(encoder.name), encoder.weights_digest)
    body.load_state_dict(packaged.rename(encoder.name, tensors, body.state_dict()))
    facts: Any = body.pretrained_cfg
    body.reset_classifier(0)
    return Network(body, encoder.size or PACKAGED[encoder.name], tuple(facts["mean"]), tuple(facts["std"]))


def _timm(name: str, encoder: Encoder, root: Path | None) -> Network:
    timm = _library("timm", encoder, "uv sync --extra timm, or pip install timm")
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        like = get_close_matches(architecture, timm.list_models(), 5)
        expected = f"a network that timm {timm.__version__} knows (timm.list_models())"
        fix = f"did you mean {', '.join(like)}?" if like else "search with timm.list_models('*part of the name*')"
        raise InputError(Fault(f"encoder {encoder.name}", expected, name, fix))
    try:
        body = _create(timm, name, encoder)
    except Exception as error:  # no network connection, an unknown tag, or an unsupported size: timm raises many types
        raise InputError(_cannot(encoder, error)) from None
    facts: Any = body.pretrained_cfg
    _load(body, encoder, root, _names(facts.get("classifier")))
    side = encoder.size or int(facts.get("input_size", (3, _SIDE, _SIDE))[-1])
    return Network(body, side, tuple(facts.get("mean", _IMAGENET[0])), tuple(facts.get("std", _IMAGENET[1])))


def _create(timm: Any, name: str, encoder: Encoder) -> nn.Module:
    """Create the network; pass the image size if the constructor takes it (transformers)."""
    options = {"pretrained": encoder.weights == PRETRAINED, "num_classes": 0}
    if encoder.size is not None:
        try:
            sized: nn.Module = timm.create_model(name, **options, img_size=encoder.size)
            return sized
        except TypeError:
            pass
    body: nn.Module = timm.create_model(name, **options)
    return body


def _torchvision(name: str, encoder: Encoder, root: Path | None) -> Network:
    models = import_module("torchvision.models")
    known = [each for each in models.list_models() if models.get_model_builder(each).__module__.count(".") == 2]
    if name not in known:
        raise InputError(
            Fault(f"encoder {encoder.name}", f"one of torchvision's classifiers: {', '.join(known)}", name)
        )
    try:
        body = models.get_model(name, weights="DEFAULT" if encoder.weights == PRETRAINED else None)
    except Exception as error:  # mostly: no network connection
        raise InputError(_cannot(encoder, error)) from None
    heads = [each for each, layer in body.named_modules() if isinstance(layer, nn.Linear)]
    if not heads:
        raise InputError(
            Fault(
                f"encoder {encoder.name}",
                "a network that ends in a linear layer",
                f"{name} has no linear layer",
                "use another network",
            )
        )
    parent, _, last = heads[-1].rpartition(".")
    setattr(body.get_submodule(parent), last, nn.Identity())
    if hasattr(body, "aux_logits"):
        body.aux_logits = False
    _load(body, encoder, root, (heads[-1],))
    return Network(body, encoder.size or _SIDE, *_IMAGENET)


def _load(body: nn.Module, encoder: Encoder, root: Path | None, head: tuple[str, ...]) -> None:
    """Load tensors from a file.

    It must hold every tensor of the network, and no others except the last layer's.
    """
    if encoder.weights_file is None:
        if encoder.weights not in (UNTRAINED, PRETRAINED):
            raise InputError(
                Fault(
                    f"encoder {encoder.name}", f"weights: a file, {PRETRAINED!r} or {UNTRAINED!r}", str(encoder.weights)
                )
            )
        return
    path = find_file(encoder.weights_file, root, f"encoder {encoder.name}: weights")
    state = _without_prefix(read_tensors(path), set(body.state_dict()))
    missing, unknown = _mismatched(body, state, head)
    convert = getattr(sys.modules[type(body).__module__], "checkpoint_filter_fn", None)
    if missing and convert is not None:  # timm's conversion from the names of the original checkpoint
        try:
            state = dict(convert(state, body))
        except Exception as error:  # the conversion expects other checkpoints
            raise InputError(
                Fault(str(path), f"tensors of {encoder.name}", f"{type(error).__name__}: {error}")
            ) from None
        missing, unknown = _mismatched(body, state, head)
    if missing or unknown:
        differences = [
            f"{len(names)} {kind} ({', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''})"
            for kind, names in (("missing", missing), ("unknown", unknown))
            if names
        ]
        fix = "use weights of this network; a part that stays random would go unnoticed"
        raise InputError(
            Fault(str(path), f"all tensors of {encoder.name} except the last layer's", "; ".join(differences), fix)
        )
    body.load_state_dict({name: state[name] for name in body.state_dict()})


def _mismatched(body: nn.Module, state: Mapping[str, Tensor], head: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return names of tensors that are missing or differ in shape, and of unknown tensors."""
    own = body.state_dict()
    missing = [name for name, tensor in own.items() if name not in state or state[name].shape != tensor.shape]
    unknown = [
        name for name in state if name not in own and not any(name == h or name.startswith(f"{h}.") for h in head)
    ]
    return missing, [name for name in unknown if not name.endswith("num_batches_tracked")]


def _without_prefix(state: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Remove a prefix that wrappers put before all names, if more names match without it."""
    for prefix in _PREFIXES:
        inner = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        if len(names & set(inner)) > len(names & set(state)):
            state = inner
    return state


def _names(value: Any) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _library(name: str, encoder: Encoder, fix: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise InputError(Fault(f"encoder {encoder.name}", f"the package {name}", "not installed", fix)) from None


def _cannot(encoder: Encoder, error: Exception) -> Fault:
    reason = f"{type(error).__name__}: {(str(error) or '(no message)').splitlines()[0]}"
    if encoder.weights == PRETRAINED:
        fix = f"if this machine has no internet access, give a file as weights (or {UNTRAINED!r} for random ones)"
        return Fault(f"encoder {encoder.name}", "weights that the library can fetch", reason, fix)
    return Fault(f"encoder {encoder.name}", "a network that can be built", reason, "use another name or size")
