"""How an accelerator is used: what it is sent, and with what arithmetic it computes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


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
