"""From a specification to a strategy.

A name is a registered one, one that an installed package offers under the entry point group `beatrandom.strategies`,
`file.py:Name`, `package.module:Name`, or `skactiveml:Name` for a pool strategy of scikit-activeml.
"""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import torch

from protocol.digests import sha256
from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError, unknown_name
from protocol.spec.study import StrategySpec
from runners.guard.user_code import get_attribute, import_user_code
from runners.strategies import STRATEGIES
from runners.strategies.base import Context, Estimation, Strategy
from runners.strategies.support.aggregation import Aggregation
from runners.strategies.view import CHEAP, NEEDS, View

GROUP: Final = "beatrandom.strategies"
"""Entry points of installed packages: name -> class or function of the contract."""
ACTIVEML: Final = "skactiveml"


class Wrapped(Strategy):
    """A function, or an object with `select`, that is not derived from `Strategy`; sees everything cheap unless it declares `needs`."""

    def __init__(self, inner: Any) -> None:
        self._choose = inner.select if hasattr(inner, "select") else inner
        self._prepare = getattr(inner, "prepare", None)
        self.declares = hasattr(inner, "needs")
        self.needs = tuple(getattr(inner, "needs", CHEAP))  # type: ignore[misc]  # per wrapped object, not per class
        self.estimation = getattr(inner, "estimation", Estimation())
        self.aggregation = getattr(inner, "aggregation", Aggregation())
        self.tasks = tuple(getattr(inner, "tasks", Strategy.tasks))  # type: ignore[misc]  # as above

    def prepare(self, context: Context, generator: torch.Generator) -> None:
        """Whatever the wrapped object prepares, if it does."""
        if self._prepare is not None:
            self._prepare(context, generator)

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Whatever the wrapped object chooses; checked by the caller."""
        chosen: Indices = self._choose(view, n, rng)
        return chosen


def own_file(spec: StrategySpec, folder: Path) -> Path | None:
    """The file an own strategy lives in, or None for a registered or importable one."""
    path, _, name = spec.name.rpartition(":")
    if not path.endswith(".py"):
        return None
    where = f"strategy {spec.name}"
    for candidate in (Path(path), folder / path):
        if candidate.is_file() and name:
            return candidate
    raise InputError(Fault(where, "an existing file.py:Name", f"no file {path} here or in {folder}", "check the path"))


def resolved(spec: StrategySpec, folder: Path) -> StrategySpec:
    """The specification with the digest of an own file filled in; unknown names are refused."""
    if file := own_file(spec, folder):
        return spec.model_copy(update={"source_digest": sha256(file.read_bytes())})
    if spec.name.endswith(".py"):
        fix = f"say which function or class of it: {spec.name}:Name"
        raise InputError(Fault(f"strategy {spec.name}", "file.py:Name", "a file without a name in it", fix))
    if ":" not in spec.name and spec.name not in known():
        raise InputError(unknown_name("strategy", spec.name, known()))
    return spec


def plugins() -> dict[str, EntryPoint]:
    """Strategies that installed packages offer, by name; a registered name always means the registered strategy."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in STRATEGIES}


def known() -> list[str]:
    """Names that need no colon: registered ones, then those of installed packages."""
    return [*STRATEGIES, *sorted(plugins())]


def make(spec: StrategySpec, file: Path | None) -> Strategy:
    """Build the strategy.

    Args:
        file: where an own strategy's source lies now (its kept copy), None for all others.

    Raises:
        InputError: unknown name, unknown argument, or something that is no strategy.
    """
    where = f"strategy {spec.name}"
    module, _, name = spec.name.rpartition(":")
    if file is None and module == ACTIVEML:
        strategy: Strategy = _activeml(where).ScikitActiveml(name, **spec.args)
        return strategy
    return _built(factory(spec, file), spec, where)


def factory(spec: StrategySpec, file: Path | None) -> Any:
    """What the name stands for: a class, function or object of the contract, not built yet; of scikit-activeml, its own class.

    Raises:
        InputError: unknown name, or a file or module that cannot be imported.
    """
    where = f"strategy {spec.name}"
    module, _, name = spec.name.rpartition(":")
    if file is None and module == ACTIVEML:
        offered = _activeml(where).strategies()
        if name not in offered:
            raise InputError(unknown_name(where, name, list(offered)))
        return offered[name]
    if file is not None or module:
        return get_attribute(import_user_code(module if file is None else file, where), name, where)
    if spec.name in STRATEGIES:
        return STRATEGIES[spec.name]
    point = plugins().get(spec.name)
    if point is None:
        raise InputError(unknown_name("strategy", spec.name, known()))
    try:
        return point.load()
    except Exception as error:  # whatever the installed package raises
        raise InputError(
            Fault(where, f"an entry point that loads ({point.value})", f"{type(error).__name__}: {error}")
        ) from error


def declared(spec: StrategySpec, found: Any) -> Any:
    """Where the paper, needs, cost and cold start of what `factory` found are said: itself, or the adapter that runs it."""
    return _activeml(spec.name).ScikitActiveml if spec.name.startswith(f"{ACTIVEML}:") else found


def _activeml(where: str) -> ModuleType:
    try:
        return importlib.import_module("runners.strategies.activeml")
    except ModuleNotFoundError as error:
        raise InputError(
            Fault(where, "scikit-activeml", f"not installed ({error})", "install the extra: uv sync --extra skactiveml")
        ) from None


def _built(factory: Any, spec: StrategySpec, where: str) -> Strategy:
    if not inspect.isclass(factory):
        if spec.args:
            raise InputError(Fault(f"{where}: args", "none, since it is a function", str(sorted(spec.args))))
        if not (callable(factory) or hasattr(factory, "select")):
            raise InputError(Fault(where, "a class or function select(view, n, rng)", f"a {type(factory).__name__}"))
        _needs_are_known(factory, where)
        return Wrapped(factory)
    try:
        made = factory(**spec.args)
    except TypeError as error:
        found = f"{', '.join(sorted(spec.args)) or 'none'}: {error}"
        fix = f'in the study: strategies = [{{ name = "{spec.name}", args = {{ {_first_argument(factory)} = … }} }}]'
        raise InputError(Fault(f"{where}: args", f"arguments of {inspect.signature(factory)}", found, fix)) from None
    if not callable(getattr(made, "select", None)):
        raise InputError(Fault(where, "a method select(self, view, n, rng)", f"{factory.__name__} has none"))
    _needs_are_known(made, where)
    return made if isinstance(made, Strategy) else Wrapped(made)


def _first_argument(factory: Any) -> str:
    """Of those without a default, else of all."""
    taken = list(inspect.signature(factory).parameters.values())
    return next((p.name for p in taken if p.default is p.empty), taken[0].name if taken else "…")


def _needs_are_known(inner: Any, where: str) -> None:
    """Before anything is trained. Raises InputError with every need that is none."""
    needs = getattr(inner, "needs", ())
    if isinstance(needs, str):
        fix = f"a comma makes it a tuple: needs = ({needs!r},)"
        raise InputError(Fault(f"{where}: needs", "a tuple of names", f"text, {needs!r}", fix))
    if strangers := [need for need in needs if need not in NEEDS]:
        raise InputError([unknown_name(f"{where}: needs", str(need), NEEDS) for need in strangers])
