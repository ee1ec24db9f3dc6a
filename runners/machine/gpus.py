"""Load and memory of this machine's NVIDIA GPUs, for all processes together."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import pynvml


@dataclass(frozen=True)
class GpuUse:
    """Current state of one GPU: busy share of the last second, in [0, 1], and memory in MiB."""

    number: int
    name: str
    busy: float
    used_mib: float
    total_mib: float

    def __str__(self) -> str:
        return (
            f"GPU {self.number} ({self.name}): {self.busy:.0%} busy, {self.used_mib:,.0f} of {self.total_mib:,.0f} MiB"
        )


def gpus_in_use() -> list[GpuUse]:
    """Return the GPUs in the driver's order; none without a driver.

    A GPU that does not report its load or memory is left out.
    """
    gpus: list[GpuUse] = []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return gpus
    try:
        for number in range(pynvml.nvmlDeviceGetCount()):
            with contextlib.suppress(pynvml.NVMLError):
                handle = pynvml.nvmlDeviceGetHandleByIndex(number)
                memory, busy = pynvml.nvmlDeviceGetMemoryInfo(handle), pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
                name = pynvml.nvmlDeviceGetName(handle)
                gpus.append(GpuUse(number, str(name), busy / 100, memory.used / 2**20, memory.total / 2**20))
    except pynvml.NVMLError:
        return gpus
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
    return gpus
