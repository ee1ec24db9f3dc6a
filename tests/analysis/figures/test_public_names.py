"""The public face of `analysis.figures`."""

from __future__ import annotations

from importlib import import_module

import analysis.figures
from analysis.figures import FIGURES


def test_every_public_name_resolves() -> None:
    assert [name for name in analysis.figures.__all__ if not hasattr(analysis.figures, name)] == []
    assert len(set(analysis.figures.__all__)) == len(analysis.figures.__all__)


def test_a_figure_is_drawn_by_the_module_and_the_function_of_its_name() -> None:
    for name, draw in FIGURES.items():
        python_name = name.replace("-", "_")
        assert draw.__name__ == python_name
        assert draw.__module__.rpartition(".")[2] == python_name
        assert getattr(import_module(draw.__module__), python_name) is draw
