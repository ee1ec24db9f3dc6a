"""`status` tells what GPUs are doing where there are any, and says nothing of them elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from runners.machine.gpus import gpus_in_use
from runners.verbs.running.status import status
from tests.support.study_builder import build_study

MIB = 2**20


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A driver with two GPUs, the second of which does not tell how busy it is; what was called last."""
    called: list[str] = []

    def busy(handle: int) -> SimpleNamespace:
        if handle:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(gpu=37)

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: called.append("init"))
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: called.append("shutdown"))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda number: number)
    monkeypatch.setattr(
        pynvml, "nvmlDeviceGetMemoryInfo", lambda handle: SimpleNamespace(used=1536 * MIB, total=81920 * MIB)
    )
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", busy)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", lambda handle: "NVIDIA H100")
    return called


def test_each_gpu_is_told_and_the_driver_is_let_go(two_gpus: list[str]) -> None:
    assert [str(gpu) for gpu in gpus_in_use()] == ["GPU 0 (NVIDIA H100): 37% busy, 1,536 of 81,920 MiB"]
    assert two_gpus == ["init", "shutdown"]


def test_status_shows_them(two_gpus: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = build_study(tmp_path / "study").path
    status(study, json=False, watch=False)
    assert "GPU 0 (NVIDIA H100): 37% busy" in capsys.readouterr().out
    status(study, json=True, watch=False)
    [gpu] = json.loads(capsys.readouterr().out)["gpus"]
    assert gpu == {"number": 0, "name": "NVIDIA H100", "busy": 0.37, "used_mib": 1536.0, "total_mib": 81920.0}


def test_without_a_driver_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)
    status(build_study(tmp_path / "study").path, json=False, watch=False)
    assert "GPU" not in capsys.readouterr().out
