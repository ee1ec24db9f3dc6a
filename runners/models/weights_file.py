"""Weights of a user's file, put into the part of a network that they are of, or refused with what does not fit.

Files name the same tensors differently: a classifier's own names, those inside a larger network (`backbone.`, `encoder.`), those
that a wrapper added (`module.`). What is known of that is tried; nothing is guessed by shape.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from protocol.errors import Fault, InputError
from runners.datasets.files import file_digest

_TAKEN_OFF: Final = (
    "",
    "module.",
    "backbone.",
    "encoder.",
    "model.",
    "body.",
    "features.",
    "module.encoder.",
    "backbone.features.",
)
_PUT_ON: Final = ("", "model.", "0.")
"""What the tensors of a file carry before the names of torchvision's classifiers, and what this program's networks do."""
_INSIDE: Final = ("state_dict", "model_state_dict", "model", "model_state", "teacher", "module")
"""What checkpoints keep the network under."""
_COUNTER: Final = "num_batches_tracked"
"""Of BatchNorm, unused here; files of old versions have none."""


def read_tensors(path: Path, digest: str | None = None) -> dict[str, Tensor]:
    """Named tensors of a .pth, .pt or .safetensors file, on the CPU; of a checkpoint, those of its network.

    Args:
        digest: SHA-256 that the file must have; None: any.

    Raises:
        InputError: no such file, another digest, or no tensors that can be read without running code.
    """
    where, expected = (
        f"weights {path}",
        "named tensors, as torch.save(network.state_dict(), FILE) writes them, or .safetensors",
    )
    try:
        if digest is not None and (found := file_digest(path)) != digest:
            fix = "restore the file; other weights are another comparison"
            raise InputError(Fault(where, f"the file with SHA-256 {digest[:16]}", found[:16], fix))
        loaded = _load(path)
    except FileNotFoundError:
        raise InputError(
            Fault(where, "a file of weights", "no such file", "see --data-root, where relative paths start")
        ) from None
    except InputError:
        raise
    except Exception as error:  # unpickling damaged or foreign files raises nearly anything
        raise InputError(Fault(where, expected, f"{type(error).__name__}: {error}"[:300])) from None
    for name in _INSIDE:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    tensors = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)} if isinstance(loaded, Mapping) else {}
    if not tensors:
        raise InputError(
            Fault(where, expected, type(loaded).__name__ if not isinstance(loaded, Mapping) else "no tensors in it")
        )
    return tensors


def _load(path: Path) -> Any:
    if path.suffix != ".safetensors":
        return torch.load(path, map_location="cpu", weights_only=True)
    try:
        from safetensors.torch import load_file  # optional
    except ModuleNotFoundError as error:
        fix = "uv pip install safetensors (the extra smp brings it), or save the tensors as .pth"
        raise InputError(Fault(f"weights {path}", "the package safetensors", f"not installed ({error})", fix)) from None
    return load_file(path)


@dataclass(frozen=True)
class _Match:
    """One way of naming: what a file lacks, has in another shape, and has too much of in the same modules."""

    state: dict[str, Tensor]
    missing: tuple[str, ...]
    unlike: tuple[str, ...]
    beyond: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return not (self.missing or self.unlike or self.beyond)

    @property
    def likeness(self) -> tuple[int, int]:
        """More is nearer."""
        return -len(self.missing), -len(self.unlike) - len(self.beyond)


def match_tensors(part: nn.Module, tensors: Mapping[str, Tensor], where: str, what: str) -> dict[str, Tensor]:
    """All tensors of `part` by its own names, from a file's.

    A file may hold other modules as well (a classifier, another decoder). Further layers of modules that `part` has, as of a deeper
    network of the same family, do not fit.

    Args:
        part: that the weights are of.
        where: the file, for the error.
        what: the part in words.

    Raises:
        InputError: tensors that are missing, of another shape, or of further layers, with examples of each.
    """
    own = part.state_dict()
    matches = [_match(own, tensors, off, on) for off, on in itertools.product(_TAKEN_OFF, _PUT_ON)]
    best = max(matches, key=lambda m: m.likeness)
    if best.fits:
        return best.state
    said = [
        f"{len(names)} {kind}: {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
        for kind, names in (
            ("missing", best.missing),
            ("of another shape", best.unlike),
            ("of further layers", best.beyond),
        )
        if names
    ]
    fix = "use weights of this very architecture, or the architecture of these weights"
    raise InputError(Fault(where, f"the {len(own)} tensors of {what}", "; ".join(said), fix))


def _match(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], off: str, on: str) -> _Match:
    renamed = {on + name.removeprefix(off): tensor for name, tensor in tensors.items() if name.startswith(off)}
    state, missing, unlike = {}, [], []
    for name, tensor in own.items():
        given = renamed.get(name)
        if given is None:
            if name.endswith(_COUNTER):
                state[name] = tensor.clone()
            else:
                missing.append(name)
        elif given.shape != tensor.shape:
            unlike.append(f"{name} {tuple(given.shape)} for {tuple(tensor.shape)}")
        else:
            state[name] = given.to(tensor.dtype).contiguous().clone()
    modules = {_module(name, on) for name in own}
    beyond = [name for name in renamed if name not in own and _module(name, on) in modules]
    return _Match(state, tuple(missing), tuple(unlike), tuple(beyond))


def _module(name: str, on: str) -> str:
    return name.removeprefix(on).partition(".")[0]
