"""The public faces: every name resolves and is documented, the examples run, and nothing slow is loaded."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import analysis
import analysis.statistics

MODULES = sorted(m.name for m in pkgutil.iter_modules(analysis.statistics.__path__, "analysis.statistics."))


@pytest.mark.parametrize("package", [analysis, analysis.statistics])
def test_every_public_name_resolves_and_has_a_docstring(package: ModuleType) -> None:
    assert len(package.__all__) == len(set(package.__all__))
    assert [name for name in package.__all__ if not inspect.getdoc(getattr(package, name))] == []


@pytest.mark.parametrize("name", ["analysis", "analysis.statistics", *MODULES])
def test_examples_give_what_they_show(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_of_statistics_has_an_example(name: str) -> None:
    module = importlib.import_module(name)
    functions = [
        value
        for key, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == name and not key.startswith("_")
    ]
    plain = [f.__name__ for f in functions if not inspect.isclass(f) and ">>>" not in (f.__doc__ or "")]
    assert plain == []


def test_the_package_loads_neither_figures_nor_models() -> None:
    slow = ("matplotlib", "seaborn", "statsmodels", "torch")
    code = f"import sys, analysis; print([m for m in {slow} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
