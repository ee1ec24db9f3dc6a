"""What a record says of the machine."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from runners.machine.environment import device_name

X86 = "processor\t: 0\nmodel name\t: Some Processor\nflags\t\t: fpu avx2 avx512f avx512_bf16 sse2\n\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd sve bf16\nCPU implementer\t: 0x41\n\n"


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (X86 + X86.replace("0", "1", 1), "Some Processor (avx2, avx512f, avx512_bf16)"),
        (X86.replace("avx512f avx512_bf16 ", ""), "Some Processor (avx2)"),
        (ARM, "a machine (sve, bf16)"),
        ("", "a machine"),
        (None, "a machine"),
    ],
)
def test_processors_of_one_name_and_other_kernels_have_two_names(
    told: str | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: Path) -> str:
        if told is None:
            raise FileNotFoundError
        return told

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(platform, "processor", lambda: "a machine")
    assert device_name.__wrapped__("cpu") == name
