"""The packages that notebooks import from: their names resolve, and only fits of mixed models need statsmodels."""

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


FIT = (
    "from analysis.across.mixed_models import mixed_model; "
    "mixed_model([1, 2, 2, 4, 3, 7], [0, 1] * 3, [0, 0, 1, 1, 2, 2])"
)


@pytest.mark.parametrize(
    ("does", "loads"), [("import analysis.verdict.decide", False), ("import analysis.across", False), (FIT, True)]
)
def test_statsmodels_loads_when_a_model_is_fitted(does: str, loads: bool) -> None:
    code = f"import sys; {does}; print('statsmodels' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == str(loads)
