"""How an accelerator is used: what it is sent, and with what arithmetic it computes."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from protocol.errors import Fault, InputError


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device. An NVIDIA device fetches it in its turn, from memory that stays where it is: nothing waits for its earlier work."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def plain_kernels(device: torch.device) -> AbstractContextManager[object]:
    """On an NVIDIA device: convolutions that repeat exactly, and float32 that is not silently TF32."""
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
    """Return every visible GPU, as CUDA_VISIBLE_DEVICES names it; none if `name` is one particular device."""
    if name not in ("auto", "cuda") or not torch.cuda.is_available():
        return ()
    named = [gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]
    return tuple(named or map(str, range(torch.cuda.device_count())))
