"""The user's own Python: a file, or a module that can be imported."""

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
"""How the modules of the user's files are called."""


def imported(source: Path | str, where: str) -> ModuleType:
    """The module of that file (a path) or name (a string).

    Raises:
        InputError: whatever it raises while it is imported, as a fault at `where`.
    """
    try:
        if isinstance(source, str):
            return importlib.import_module(source)
        module_name = f"{_PREFIX}{sha256(str(source).encode())[:12]}"
        found = importlib.util.spec_from_file_location(module_name, source)
        if found is None or found.loader is None:
            raise InputError(Fault(where, "a Python file", str(source)))
        module = importlib.util.module_from_spec(found)
        sys.modules[module_name] = module  # dataclasses in the file look themselves up here
        found.loader.exec_module(module)
    except InputError:
        raise
    except Exception as error:  # whatever the user's file raises while it is imported
        fix = "mend the file"
        if isinstance(error, ModuleNotFoundError) and not isinstance(source, str):
            fix = (
                f"install {error.name} (uv pip install …); what lies beside the file is not found: put it into the file, which is kept and "
                "fingerprint_content alone, or install both as a package and name package.module:Name"
            )
        said = f"{type(error).__name__}: {error}{line_of(error)}"
        raise InputError(Fault(where, "a file that can be imported", said, fix)) from error
    return module


def line_of(error: BaseException) -> str:
    """ " (line 7 of its file)", the innermost line of the user's own file on the way to the error; empty if there is none, or it is told."""
    if isinstance(error, SyntaxError):
        return ""
    own = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").startswith(_PREFIX)
    ]
    return f" (line {own[-1]} of its file)" if own else ""


def attribute(module: ModuleType, name: str, where: str) -> Any:
    """What the module calls so. Raises InputError with what it has."""
    if not hasattr(module, name):
        public = [k for k, v in vars(module).items() if callable(v) and not k.startswith("_")]
        raise InputError(unknown_name(where, name, public))
    return getattr(module, name)
