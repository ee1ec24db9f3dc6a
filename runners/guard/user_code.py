"""Import of user code: a Python file, or a module by name."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from protocol.digests import sha256
from protocol.errors import Fault, InputError, unknown_name

_PREFIX: Final = "beatrandom_own_"
"""Prefix of the module names under which user files are imported."""


def import_user_code(source: Path | str, where: str) -> ModuleType:
    """Import a file (a path) or a module by name (a string).

    Raises:
        InputError: the import raised; the fault is located at `where`.
    """
    try:
        if isinstance(source, str):
            return importlib.import_module(source)
        module_name = f"{_PREFIX}{sha256(str(source).encode())[:12]}"
        spec = importlib.util.spec_from_file_location(module_name, source)
        if spec is None or spec.loader is None:
            raise InputError(Fault(where, "a Python file", str(source)))
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module  # dataclasses look up their module here
        spec.loader.exec_module(module)
    except InputError:
        raise
    except Exception as error:  # user code may raise anything
        fix = "fix the file"
        if isinstance(error, ModuleNotFoundError) and not isinstance(source, str):
            fix = (
                f"install {error.name} (uv pip install …); modules next to the file are not found, because only the "
                "file itself is stored and fingerprinted: move their code into the file, or install both as a package "
                "and name package.module:Name"
            )
        found = f"{type(error).__name__}: {error}{user_line(error)}"
        raise InputError(Fault(where, "a file that can be imported", found, fix)) from error
    return module


def user_line(error: BaseException) -> str:
    """Return the innermost line of the user's file in the traceback, as " (line 7 of its file)".

    The result is empty if no such line exists, or if the message already names it (syntax errors).
    """
    if isinstance(error, SyntaxError):
        return ""
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").startswith(_PREFIX)
    ]
    return f" (line {lines[-1]} of its file)" if lines else ""


def get_attribute(module: ModuleType, name: str, where: str) -> Any:
    """Return an attribute of the module.

    Raises:
        InputError: the module has no such name; the fault lists its public callables.
    """
    if not hasattr(module, name):
        public = [k for k, v in vars(module).items() if callable(v) and not k.startswith("_")]
        raise InputError(unknown_name(where, name, public))
    return getattr(module, name)
