"""Snapshot of the program and its numerical libraries, to detect changes made by a strategy's code.

It covers code, module data and class attributes of this program. Of torch and numpy it covers the code used in
training, the hooks that torch calls for every network, and process-wide settings. It imports no library: code that is
not loaded cannot have been changed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

_PROGRAM: Final = ("protocol", "runners")
_LIBRARIES: Final = (
    "torch.nn.modules.",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.optim.",
    "torch.autograd.",
    "torch._tensor",
)
_WHOLE: Final = (
    "builtins",
    "torch",
    "torch.nn",
    "torch.optim",
    "torch.autograd",
    "torch.random",
    "numpy",
    "numpy.random",
)
"""Modules of which only functions and classes are compared, not the attributes of the classes."""
_SETTINGS: Final = (
    "get_default_dtype",
    "get_num_threads",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "are_deterministic_algorithms_enabled",
    "get_float32_matmul_precision",
    "get_default_device",
    "_C._len_torch_function_stack",
    "_C._len_torch_dispatch_stack",
)
"""Attributes of torch that decide how the next round computes."""
_WRAPPERS: Final = (staticmethod, classmethod, property)

Parts = dict[str, Any]
"""Qualified name -> object."""


def snapshot() -> Parts:
    """Return the objects that count as program state now, by qualified name."""
    state: Parts = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in _PROGRAM:
            state.update(_of_program(name, module))
        elif name in _WHOLE:
            state.update(
                (f"{name}.{key}", _code(value, name)) for key, value in list(vars(module).items()) if callable(value)
            )
        elif name.startswith(_LIBRARIES):
            state.update(_of_library(name, module))
    return state | _settings()


def changed_names(before: Parts) -> list[str]:
    """Return the names, sorted, whose object was replaced or removed since `before`.

    New names do not count.
    """
    after = snapshot()
    return sorted(name for name, part in before.items() if not _same(part, after.get(name)))


def _same(part: Any, other: Any) -> bool:
    if type(part) is tuple and type(other) is tuple:
        return len(part) == len(other) and all(a is b for a, b in zip(part, other, strict=True))
    return part is other


def _of_program(name: str, module: ModuleType) -> Iterator[tuple[str, Any]]:
    for key, value in list(vars(module).items()):
        if key.startswith("__"):
            continue
        yield f"{name}.{key}", _code(value)
        if isinstance(value, type) and value.__module__ == name:
            yield from (
                (f"{name}.{key}.{k}", _code(v))
                for k, v in list(vars(value).items())
                if callable(v) or isinstance(v, _WRAPPERS)
            )
        for place, one in _held(value):
            yield f"{name}.{key}{place}", one
            if type(one).__module__.partition(".")[0] in _PROGRAM and hasattr(one, "__dict__"):
                attributes = vars(one)
                yield f"{name}.{key}{place}", (one, *attributes, *attributes.values())


def _held(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a value, or the items of a dictionary.

    Registries decide which code is called as much as names do.
    """
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in list(value.items()))
    elif not callable(value) and not isinstance(value, ModuleType):
        yield "", value


def _of_library(name: str, module: ModuleType) -> Iterator[tuple[str, Any]]:
    for key, value in list(vars(module).items()):
        if key.startswith("_global_") and isinstance(value, dict):  # hooks
            yield f"{name}.{key}", tuple(value.values())
        if not callable(value):
            continue
        yield f"{name}.{key}", _code(value, name)
        if isinstance(value, type) and value.__module__ == name:
            items = list(vars(value).items())
            yield from (
                (f"{name}.{key}.{k}", _code(v, name)) for k, v in items if callable(v) or isinstance(v, _WRAPPERS)
            )


def _settings() -> Parts:
    """Return the settings as interned strings, so that equal values are identical objects."""
    torch = sys.modules.get("torch")
    settings: Parts = {}
    for setting in _SETTINGS if torch else ():
        ask: Any = torch
        for step in setting.split("."):
            ask = getattr(ask, step, None)
        if ask is not None:
            settings[f"torch.{setting}()"] = sys.intern(str(ask()))
    return settings


def _code(value: Any, library: str = "") -> Any:
    """Return the code of a function or method; any other value as it is.

    Wrappers of the library's own are removed first: torch wraps the steps of optimizers while it runs.
    """
    if isinstance(value, staticmethod | classmethod | MethodType):
        value = value.__func__
    home = _home(library) if library else ""
    while (
        home
        and isinstance(value, FunctionType)
        and value.__code__.co_filename.startswith(home)
        and hasattr(value, "__wrapped__")
    ):
        value = value.__wrapped__
    return value.__code__ if isinstance(value, FunctionType) else value


@cache
def _home(library: str) -> str:
    """Return the folder of a library's own code."""
    file = getattr(sys.modules[library.partition(".")[0]], "__file__", None)
    return str(Path(file).parent) if file else ""
