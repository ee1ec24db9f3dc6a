"""In what environment a run was made: versions, code, device. Volatile: never part of what must be equal."""

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
    """Versions of the packages a result can depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


@cache
def commit() -> dict[str, Any]:
    """Commit of the project's checkout and whether it had uncommitted changes; empty outside git."""
    root = Path(__file__).resolve().parents[2]

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": "unknown", "dirty": True}


def describe(device: str, threads: int) -> dict[str, Any]:
    """The environment as it is kept in the record."""
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
"""A virtual machine's processors of several kinds often have one name."""


@cache
def device_name(device: str) -> str:
    """Name of the processor, with the instructions by which libraries choose their kernels and so the rounding, or of the accelerator."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    try:
        told = dict(
            re.findall(r"^(model name|flags|Features)\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        )
    except OSError:
        told = {}
    flags = set(" ".join(told.get(key, "") for key in ("flags", "Features")).split())
    able = ", ".join(name for name in _INSTRUCTIONS if name in flags)
    name = told.get("model name") or platform.processor() or "unknown"
    return f"{name} ({able})" if able else name
