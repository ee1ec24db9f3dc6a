"""The user's own Python: a file, or a module that can be imported."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from protocol.canonical import sha256
from protocol.errors import Fault, InputError, unknown_name


def imported(source: Path | str, where: str) -> ModuleType:
    """The module of that file (a path) or name (a string).

    Raises:
        InputError: whatever it raises while it is imported, as a fault at `where`.
    """
    try:
        if isinstance(source, str):
            return importlib.import_module(source)
        module_name = f"beatrandom_own_{sha256(str(source).encode())[:12]}"
        found = importlib.util.spec_from_file_location(module_name, source)
        if found is None or found.loader is None:
            raise InputError(Fault(where, "a Python file", str(source)))
        module = importlib.util.module_from_spec(found)
        sys.modules[module_name] = module  # dataclasses in the file look themselves up here
        found.loader.exec_module(module)
    except InputError:
        raise
    except Exception as error:  # whatever the user's file raises while it is imported
        raise InputError(Fault(where, "a file that can be imported", f"{type(error).__name__}: {error}", "mend the file")) from error
    return module


def attribute(module: ModuleType, name: str, where: str) -> Any:
    """What the module calls so. Raises InputError with what it has."""
    if not hasattr(module, name):
        public = [k for k, v in vars(module).items() if callable(v) and not k.startswith("_")]
        raise InputError(unknown_name(where, name, public))
    return getattr(module, name)
