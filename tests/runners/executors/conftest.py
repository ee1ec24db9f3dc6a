"""Accidents of executors are caused by a strategy inside the worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.faults import faults_in_workers


@pytest.fixture(scope="module", autouse=True)
def _faults_in_workers() -> Iterator[None]:
    with faults_in_workers():
        yield
