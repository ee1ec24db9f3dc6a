"""Notebooks import only the public faces of the project, and every public name exists."""

from __future__ import annotations

import ast
import json
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("protocol", "analysis", "runners")
FACES = (
    "protocol",
    "protocol.testing",
    "analysis",
    "analysis.statistics",
    "analysis.across",
    "analysis.claims",
    "analysis.figures",
    "runners.strategies",
    "runners.study",
)
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def imports(notebook: Path) -> list[tuple[str, str]]:
    """Return (module, name) of every import of the project in a notebook; name "" imports the module itself."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            found += [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
    return [(module, name) for module, name in found if module.partition(".")[0] in PACKAGES]


def test_there_are_eight_notebooks() -> None:
    assert len(NOTEBOOKS) == 8


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_imports_only_public_names(notebook: Path) -> None:
    used = imports(notebook)
    assert used
    assert [module for module, _ in used if module not in FACES] == []
    assert [(module, name) for module, name in used if name not in import_module(module).__all__] == []


@pytest.mark.parametrize("face", FACES)
def test_every_public_name_exists_and_is_listed_once(face: str) -> None:
    module = import_module(face)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert len(set(module.__all__)) == len(module.__all__)
