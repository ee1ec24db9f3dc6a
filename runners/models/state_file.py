"""Files of a network's tensors together with their digest."""

from __future__ import annotations

import os
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
from protocol.safe_read import open_file
from runners.models.net import state_digest

_DIGEST: Final = "digest of all others"
_LARGEST: Final = 2**36
_FREE: Final = 2**20


def arrays_of(state: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Convert tensors on the CPU to arrays for an .npz file; the last array is their digest."""
    return {name: tensor.numpy() for name, tensor in state.items()} | {
        _DIGEST: np.frombuffer(state_digest(state).encode(), np.uint8)
    }


def read_state(path: Path, expected: str) -> dict[str, Tensor]:
    """Read the tensors of an .npz file of `arrays_of`.

    Args:
        expected: description of the file for the error message.

    Raises:
        InputError: the file is missing or unreadable, or its content does not match its digest.
    """
    fix = "delete this file; it will be written again"
    try:
        with open_file(path, _LARGEST) as opened:
            size = os.fstat(opened.fileno()).st_size
            with zipfile.ZipFile(opened) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > _FREE + size:
                raise ValueError(f"{unpacked} bytes unpacked from {size}; weights are not compressed")
            opened.seek(0)
            file = np.load(opened, allow_pickle=False)
            arrays = {name: file[name] for name in file.files}
        stated = arrays.pop(_DIGEST, np.empty(0, np.uint8)).tobytes().decode(errors="replace")
        state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    except (OSError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(Fault(str(path), expected, str(error) or "damage", fix)) from None
    if stated != (actual := state_digest(state)):
        raise InputError(Fault(str(path), f"weights with digest {stated[:16] or '(none)'}", actual[:16], fix))
    return state
