"""Import of user code: the source of a Python file, or a module by name."""

from __future__ import annotations

import importlib
import importlib.util
import linecache
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from protocol.digests import sha256
from protocol.errors import Fault, InputError, unknown_name
from protocol.safe_read import read_named

_PREFIX: Final = "beatrandom_own_"
"""Prefix of the module names under which user files are imported."""
LARGEST_SOURCE: Final = 16 * 2**20
"""Largest file of user code, in bytes."""


@dataclass(frozen=True)
class Source:
    """A user's Python file, as it was read.

    Attributes:
        path: where it was; for messages and for tools that show source lines.
        code: its bytes.
    """

    path: str
    code: bytes

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read a file that the user named. Raises OSError."""
        return cls(str(path), read_named(path, LARGEST_SOURCE))


def import_user_code(source: Source | str, where: str) -> ModuleType:
    """Import a file that was read, or a module by name (a string).

    Raises:
        InputError: the import raised; the fault is located at `where`.
    """
    try:
        return importlib.import_module(source) if isinstance(source, str) else _executed(source)
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


def _executed(source: Source) -> ModuleType:
    """Return the module that the source makes.

    Its lines are kept for tools that show or compile source, because the file itself may be out of reach.
    """
    module = ModuleType(f"{_PREFIX}{sha256(source.path.encode())[:12]}")
    module.__file__ = source.path
    sys.modules[module.__name__] = module  # dataclasses look up their module here
    text = importlib.util.decode_source(source.code)
    linecache.cache[source.path] = (len(text), None, text.splitlines(keepends=True), source.path)
    exec(compile(text, source.path, "exec", dont_inherit=True), module.__dict__)
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
