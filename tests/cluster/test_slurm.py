"""A study through SLURM itself, with a requeued job; slurm.py can also be run as a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SKIPPED = 77


@pytest.mark.slow
def test_a_study_goes_through_slurm_and_a_requeue() -> None:
    pytest.importorskip("submitit", reason="the extra slurm is not installed: uv sync --extra slurm")
    script = Path(__file__).with_name("slurm.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=900)
    if done.returncode == SKIPPED:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
