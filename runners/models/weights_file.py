"""Read weights from a user's file, and match them to a part of a network by name.

Files name the same tensors differently: by the classifier's own names, by those inside a larger network (`backbone.`,
`encoder.`),
or with the prefix of a wrapper (`module.`). Known prefixes are tried; tensors are never matched by shape.
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

_FILE_PREFIXES: Final = (
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
_NETWORK_PREFIXES: Final = ("", "model.", "0.")
"""Prefixes before the names of torchvision's classifiers: in files, and in the networks of this project."""
_CHECKPOINT_KEYS: Final = ("state_dict", "model_state_dict", "model", "model_state", "teacher", "module")
"""Keys under which checkpoints store the network."""
_COUNTER: Final = "num_batches_tracked"
"""Counter of BatchNorm, which is not used here and missing in files of old versions."""


def read_tensors(path: Path, digest: str | None = None) -> dict[str, Tensor]:
    """Read named tensors of a .pth, .pt or .safetensors file to the CPU.

    Of a checkpoint, those of its network.

    Args:
        digest: SHA-256 that the file must have; `None`: any.

    Raises:
        InputError: no such file, another digest, or no tensors that can be read without running code.
    """
    where = f"weights {path}"
    expected = "named tensors, as torch.save(network.state_dict(), FILE) writes them, or .safetensors"
    try:
        if digest is not None and (actual := file_digest(path)) != digest:
            fix = "restore the file; other weights make another comparison"
            raise InputError(Fault(where, f"the file with SHA-256 {digest[:16]}", actual[:16], fix))
        loaded = _load(path)
    except FileNotFoundError:
        raise InputError(
            Fault(where, "a file of weights", "no such file", "check the path; relative paths start at --data-root")
        ) from None
    except InputError:
        raise
    except Exception as error:  # unpickling damaged or unrelated files may raise any exception
        raise InputError(Fault(where, expected, f"{type(error).__name__}: {error}"[:300])) from None
    for name in _CHECKPOINT_KEYS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    tensors = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)} if isinstance(loaded, Mapping) else {}
    if not tensors:
        raise InputError(
            Fault(where, expected, type(loaded).__name__ if not isinstance(loaded, Mapping) else "no tensors")
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
    """Result of matching names with one pair of prefixes.

    Attributes:
        state: tensors that match.
        missing: names that the file lacks.
        unlike: names with another shape in the file.
        beyond: names of further layers in the same modules of the file.
    """

    state: dict[str, Tensor]
    missing: tuple[str, ...]
    unlike: tuple[str, ...]
    beyond: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Return whether all tensors match."""
        return not (self.missing or self.unlike or self.beyond)

    @property
    def likeness(self) -> tuple[int, int]:
        """Return a key that is larger for closer matches."""
        return -len(self.missing), -len(self.unlike) - len(self.beyond)


def match_tensors(part: nn.Module, tensors: Mapping[str, Tensor], where: str, what: str) -> dict[str, Tensor]:
    """Return all tensors of `part` by its own names, taken from a file.

    The file may hold other modules as well, such as a classifier or another decoder. Further layers in a module of
    `part`, as in a deeper network of the same family, are refused.

    Args:
        part: module that the weights belong to.
        where: name of the file for the error message.
        what: description of the part for the error message.

    Raises:
        InputError: tensors are missing, have another shape, or belong to further layers; gives examples of each.
    """
    expected = part.state_dict()
    matches = [_match(expected, tensors, off, on) for off, on in itertools.product(_FILE_PREFIXES, _NETWORK_PREFIXES)]
    best = max(matches, key=lambda m: m.likeness)
    if best.fits:
        return best.state
    differences = [
        f"{len(names)} {kind}: {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
        for kind, names in (
            ("missing", best.missing),
            ("of another shape", best.unlike),
            ("of further layers", best.beyond),
        )
        if names
    ]
    fix = "use weights of this architecture, or the architecture of these weights"
    raise InputError(Fault(where, f"the {len(expected)} tensors of {what}", "; ".join(differences), fix))


def _match(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], off: str, on: str) -> _Match:
    renamed = {on + name.removeprefix(off): tensor for name, tensor in tensors.items() if name.startswith(off)}
    state, missing, unlike = {}, [], []
    for name, tensor in expected.items():
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
    modules = {_module(name, on) for name in expected}
    beyond = [name for name in renamed if name not in expected and _module(name, on) in modules]
    return _Match(state, tuple(missing), tuple(unlike), tuple(beyond))


def _module(name: str, on: str) -> str:
    return name.removeprefix(on).partition(".")[0]
