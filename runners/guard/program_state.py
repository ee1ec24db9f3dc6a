"""What the program is made of, and what it computes with, to be compared before and after a strategy's code ran.

Code, module data and class attributes of this program; of torch and numpy, code that training goes through, hooks that torch calls
for every network, and settings of the whole process. Imports nothing of them: what is not loaded cannot have been changed.
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
"""Modules of which only functions and classes themselves are looked at, not what the classes have."""
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
"""Of torch: what decides how the next round computes."""
_WRAPPERS: Final = (staticmethod, classmethod, property)

Parts = dict[str, Any]
"""Name -> what stands behind it."""


def parts() -> Parts:
    """What is there now, by name."""
    found: Parts = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in _PROGRAM:
            found.update(_of_program(name, module))
        elif name in _WHOLE:
            found.update(
                (f"{name}.{key}", _code(value, name)) for key, value in list(vars(module).items()) if callable(value)
            )
        elif name.startswith(_LIBRARIES):
            found.update(_of_library(name, module))
    return found | _settings()


def changed(before: Parts) -> list[str]:
    """Names behind which there is something else now, sorted; what has come new does not count."""
    after = parts()
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
                own = vars(one)
                yield f"{name}.{key}{place}", (one, *own, *own.values())


def _held(value: Any) -> Iterator[tuple[str, Any]]:
    """A value, or what a table holds: registries say which code is called as much as names do."""
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
            own = list(vars(value).items())
            yield from (
                (f"{name}.{key}.{k}", _code(v, name)) for k, v in own if callable(v) or isinstance(v, _WRAPPERS)
            )


def _settings() -> Parts:
    """Settings as interned text, so that equal ones are the same."""
    torch = sys.modules.get("torch")
    found: Parts = {}
    for setting in _SETTINGS if torch else ():
        ask: Any = torch
        for step in setting.split("."):
            ask = getattr(ask, step, None)
        if ask is not None:
            found[f"torch.{setting}()"] = sys.intern(str(ask()))
    return found


def _code(value: Any, library: str = "") -> Any:
    """The code behind a function or method, also where the library itself has wrapped it meanwhile (torch wraps steps of optimizers)."""
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
    """Folder of a library's own code."""
    file = getattr(sys.modules[library.partition(".")[0]], "__file__", None)
    return str(Path(file).parent) if file else ""
