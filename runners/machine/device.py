"""Choice of device, transfers to it, and its arithmetic."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from protocol.errors import Fault, InputError


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the tensor on the device.

    To an NVIDIA device the copy starts from pinned memory and is asynchronous: the CPU does not wait for queued work.
    """
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def plain_kernels(device: torch.device) -> AbstractContextManager[object]:
    """Return a context with deterministic convolutions and without TF32 on an NVIDIA device.

    Float32 is then true float32.

    On other devices the context does nothing.
    """
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


def choose_device(name: str) -> str:
    """Return the device to use: "auto" is CUDA if available, else the CPU. Any other name is checked.

    Raises:
        InputError: PyTorch cannot use the device.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        found = f"{name!r}: {str(error).splitlines()[0]}"
        raise InputError(Fault("--device", "cpu, cuda, cuda:N or auto", found)) from None
    return name


def visible_gpus(name: str) -> tuple[str, ...]:
    """Return every visible GPU as named in CUDA_VISIBLE_DEVICES; none if `name` is one particular device."""
    if name not in ("auto", "cuda") or not torch.cuda.is_available():
        return ()
    named = [gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]
    return tuple(named or map(str, range(torch.cuda.device_count())))
