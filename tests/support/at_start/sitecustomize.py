"""Let the strategy `own.py:mine` of tests run inside workers, as built-in strategies do.

Tests of executors need faults of a worker: a crash, a leak, a hang. A strategy in a process of its own cannot cause
them. Python imports this file at its start where tests put its folder on PYTHONPATH.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

FAULTY = "own.py:mine"


class WithFaults(dict[str, Any]):
    """The table of built-in strategies, which also knows the strategy of the tests."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and name.endswith(FAULTY))


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "runners.strategies":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        vars(module)["STRATEGIES"] = WithFaults(module.STRATEGIES)


sys.meta_path.insert(0, _Finder())
