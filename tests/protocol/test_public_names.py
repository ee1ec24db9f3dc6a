"""The names that scripts and notebooks import from the package itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

import protocol

SOURCE = Path(protocol.__file__)


@pytest.mark.parametrize("name", protocol.__all__)
def test_every_public_name_resolves_and_has_a_docstring(name: str) -> None:
    value = getattr(protocol, name)
    assert value.__name__ in (name, "read")  # read_record
    assert (value.__doc__ or "").strip()
    assert name in dir(protocol)


def test_type_checkers_see_the_names_that_are_loaded() -> None:
    block = next(node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname or alias.name: f"{node.module}:{alias.name}" for node in imports for alias in node.names}
    assert seen == protocol._PLACES
    assert sorted(seen) == sorted(protocol.__all__)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Prtocol'"):
        _ = protocol.Prtocol
    with pytest.raises(ImportError):
        exec("from protocol import prset")


def test_importing_the_package_loads_no_library() -> None:
    code = "import sys, protocol.errors; print([m for m in ('numpy', 'pydantic') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=SOURCE.parents[1]
    )
    assert done.stdout.strip() == "[]"


def test_no_module_imports_the_package_itself() -> None:
    for file in SOURCE.parent.rglob("*.py"):
        if file != SOURCE:
            nodes = ast.walk(ast.parse(file.read_text()))
            assert not any(isinstance(n, ast.ImportFrom) and n.module == "protocol" for n in nodes), file


@pytest.mark.parametrize("package", ["protocol", "analysis", "runners"])
def test_packages_are_marked_as_typed(package: str) -> None:
    assert (resources.files(package) / "py.typed").is_file()
