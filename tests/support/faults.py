"""Run the strategy `own.py:mine` of a test inside its worker; see `tests/support/at_start/sitecustomize.py`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from runners.confine import opening
from runners.strategies import STRATEGIES

SITE = Path(__file__).parent / "at_start"


class WithFaults(dict[str, Any]):
    """The table of built-in strategies, which also knows the strategy of the tests."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and name.endswith("own.py:mine"))


@contextmanager
def faults_in_workers() -> Iterator[None]:
    """Let the strategy run in this process, in those that it starts, and in those of a new fork server."""
    forks: Any = forkserver._forkserver  # no public name for it
    with pytest.MonkeyPatch.context() as patch:
        before = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        patch.setenv("PYTHONPATH", os.pathsep.join([str(SITE), *before]))
        patch.setattr(opening, "STRATEGIES", WithFaults(STRATEGIES))
        forks._stop()
        try:
            yield
        finally:
            forks._stop()
