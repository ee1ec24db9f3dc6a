"""The packages that notebooks import from: their names resolve, and only `analysis.across` needs statsmodels."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("package", "names"),
    [
        ("analysis.across", {"across", "settings"}),
        ("analysis.claims", {"losing", "shrinking", "carried_over", "semi_supervision"}),
    ],
)
def test_public_names_resolve(package: str, names: set[str]) -> None:
    module = importlib.import_module(package)
    assert names <= set(module.__all__)
    assert all(getattr(module, name) is not None for name in module.__all__)


@pytest.mark.parametrize(("package", "loads"), [("analysis.verdict.decide", False), ("analysis.across", True)])
def test_statsmodels_loads_with_across_alone(package: str, loads: bool) -> None:
    code = f"import sys, {package}; print('statsmodels' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == str(loads)
