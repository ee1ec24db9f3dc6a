"""Fixtures that all rooms share: a protocol small enough to run in a second, and where the real data lie."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from protocol.spec.protocol import Protocol
from protocol.spec.study import Study
from protocol.spec.toml_files import parse

if "PYTEST_XDIST_WORKER" in os.environ:  # a processor each: threads beyond that make them wait for one another
    for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[pool] = "1"  # for what tests start
    torch.set_num_threads(1)

REPOSITORY = Path(__file__).resolve().parent.parent


def toy_table(**changes: Any) -> dict[str, Any]:
    """A protocol on the embedded digits with three short rounds."""
    return {
        "name": "toy",
        "data": {"name": "digits"},
        "splits": {"test_size": 200},
        "budgets": [20, 30, 45],
        "model": {"name": "small-cnn", "width": 4},
        "regime": {"name": "plain", "steps": 4, "batch_size": 16, "optimizer": {"name": "adam", "lr": 0.01}},
    } | changes


@pytest.fixture
def toy_protocol() -> Protocol:
    return parse(Protocol, toy_table(), "toy")


@pytest.fixture
def toy_study() -> Study:
    table = {
        "name": "toy",
        "protocols": [toy_table()],
        "strategies": [{"name": "random"}, {"name": "margin"}],
        "seeds": [0, 1],
    }
    return parse(Study, table, "toy study")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets; tests that need it are skipped where it is absent."""
    root = Path(os.environ.get("BEATRANDOM_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"real data sets are not here (looked in BEATRANDOM_DATA and {root.name}/ beside the checkout)")
    return root
