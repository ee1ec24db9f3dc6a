"""A network's tensors in a file, with their digest beside them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protocol.errors import Fault, InputError
from runners.models.net import state_digest

_DIGEST: Final = "digest of all others"


def arrays_of(state: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Tensors of the CPU as arrays for an .npz, the last one their digest."""
    return {name: tensor.numpy() for name, tensor in state.items()} | {
        _DIGEST: np.frombuffer(state_digest(state).encode(), np.uint8)
    }


def read_state(path: Path, expected: str) -> dict[str, Tensor]:
    """The tensors of an .npz with `arrays_of`.

    Args:
        expected: what the file should be, in words.

    Raises:
        InputError: there is no such file, it cannot be read, or its content is not what its digest says.
    """
    fix = "delete this file; it will be made again"
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        said = arrays.pop(_DIGEST, np.empty(0, np.uint8)).tobytes().decode(errors="replace")
        state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    except (OSError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(Fault(str(path), expected, str(error) or "damage", fix)) from None
    if said != (found := state_digest(state)):
        raise InputError(Fault(str(path), f"weights with digest {said[:16] or '(none)'}", found[:16], fix))
    return state
