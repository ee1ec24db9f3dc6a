"""Environment of a run: versions, commit, device.

It may differ between runs and is never part of a fingerprint.
"""

from __future__ import annotations

import platform
import re
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

PACKAGES = ("beatrandom", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "pydantic")


@cache
def packages() -> dict[str, str]:
    """Return the versions of the packages that results can depend on.

    A package that is not installed is "absent".
    """
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "absent"
    return versions


@cache
def commit() -> dict[str, Any]:
    """Return the commit of the project's checkout, and whether it had uncommitted changes.

    Outside git the commit is "unknown" and `dirty` is true.
    """
    root = Path(__file__).resolve().parents[2]

    def git(*args: str) -> str:
        process = subprocess.run(
            ["git", "-C", str(root), *args], capture_output=True, text=True, timeout=10, check=True
        )
        return process.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": "unknown", "dirty": True}


def describe(device: str, threads: int) -> dict[str, Any]:
    """Return the environment as it is written to the record."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": packages(),
        **commit(),
        "device": device,
        "device_name": device_name(device),
        "threads": threads,
    }


_INSTRUCTIONS: Final = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "sve",
    "bf16",
    "i8mm",
)
"""Instruction sets that distinguish processors. On virtual machines, different processors often share one name."""


@cache
def device_name(device: str) -> str:
    """Return the name of the accelerator or processor.

    A processor's name is followed by its vector instruction sets: libraries choose their kernels by them, and kernels
    differ in rounding.
    """
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    try:
        fields = dict(
            re.findall(r"^(model name|flags|Features)\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        )
    except OSError:
        fields = {}
    flags = set(" ".join(fields.get(key, "") for key in ("flags", "Features")).split())
    supported = ", ".join(name for name in _INSTRUCTIONS if name in flags)
    name = fields.get("model name") or platform.processor() or "unknown"
    return f"{name} ({supported})" if supported else name
