"""Build a strategy from its specification.

A name is one of: a registered name, an entry point of an installed package in the group `beatrandom.strategies`,
`file.py:Name`, `package.module:Name`, or `skactiveml:Name` for a pool strategy of scikit-activeml.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from protocol.digests import sha256
from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError, unknown_name
from protocol.spec.study import StrategySpec
from runners.guard.user_code import Source, get_attribute, import_user_code
from runners.strategies import STRATEGIES
from runners.strategies.base import Context, Estimation, Strategy
from runners.strategies.support.aggregation import Aggregation
from runners.strategies.view import CHEAP, NEEDS, View

GROUP: Final = "beatrandom.strategies"
"""Group of entry points of installed packages, from names to classes or functions of the contract."""
ACTIVEML: Final = "skactiveml"


class Wrapped(Strategy):
    """Strategy made from a function or an object with `select`.

    The function or object does not derive from `Strategy`.

    It gets all features that one pass over the pool gives, unless it declares `needs`.
    """

    def __init__(self, inner: Any) -> None:
        self._choose = inner.select if hasattr(inner, "select") else inner
        self._prepare = getattr(inner, "prepare", None)
        self.declares = hasattr(inner, "needs")
        self.needs = tuple(getattr(inner, "needs", CHEAP))  # type: ignore[misc]  # per wrapped object, not per class
        self.estimation = getattr(inner, "estimation", Estimation())
        self.aggregation = getattr(inner, "aggregation", Aggregation())
        self.tasks = tuple(getattr(inner, "tasks", Strategy.tasks))  # type: ignore[misc]  # as above
        self.cold_start = bool(getattr(inner, "cold_start", False))  # type: ignore[misc]  # as above
        self.sees_order = bool(getattr(inner, "sees_order", False))  # type: ignore[misc]  # as above
        self._inner = inner

    def prepare(self, context: Context, generator: torch.Generator) -> None:
        """Call the wrapped object's `prepare`, if it has one."""
        if self._prepare is not None:
            self._prepare(context, generator)

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the wrapped object's selection; the caller checks it."""
        chosen: Indices = self._choose(view, n, rng)
        return chosen

    def state(self) -> Mapping[str, NDArray[Any]] | None:
        """Return the wrapped object's state, if it has the method."""
        kept: Mapping[str, NDArray[Any]] | None = self._inner.state() if hasattr(self._inner, "state") else None
        return kept

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Give the state to the wrapped object, if it has the method."""
        if hasattr(self._inner, "restore"):
            self._inner.restore(state)


def user_file(spec: StrategySpec, folder: Path) -> Path | None:
    """Return the file of a user's strategy, or `None` for a registered or importable one."""
    path, _, name = spec.name.rpartition(":")
    if not path.endswith(".py"):
        return None
    where = f"strategy {spec.name}"
    for candidate in (Path(path), folder / path):
        if candidate.is_file() and name:
            return candidate
    raise InputError(
        Fault(
            where,
            "an existing file.py:Name",
            f"no file {path} in the working directory or in {folder}",
            "check the path",
        )
    )


def user_source(spec: StrategySpec, folder: Path) -> Source | None:
    """Return the source of a user's strategy, or `None`; see `user_file`."""
    file = user_file(spec, folder)
    return Source.read(file) if file is not None else None


def resolve_spec(spec: StrategySpec, folder: Path) -> StrategySpec:
    """Return the specification with the digest of a user's file filled in.

    Raises:
        InputError: unknown name, or no such file.
    """
    if file := user_file(spec, folder):
        return spec.model_copy(update={"source_digest": sha256(file.read_bytes())})
    if spec.name.endswith(".py"):
        fix = f"name a function or class in the file: {spec.name}:Name"
        raise InputError(Fault(f"strategy {spec.name}", "file.py:Name", "a file without a function or class name", fix))
    if ":" not in spec.name and spec.name not in known_names():
        raise InputError(unknown_name("strategy", spec.name, known_names()))
    return spec


def is_built_in(spec: StrategySpec) -> bool:
    """Return whether the strategy is the project's own code."""
    return spec.source_digest is None and spec.name in STRATEGIES


def plugins() -> dict[str, EntryPoint]:
    """Return strategies of installed packages by name; registered names take precedence."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in STRATEGIES}


def known_names() -> list[str]:
    """Return all names without a colon: registered ones, then those of installed packages."""
    return [*STRATEGIES, *sorted(plugins())]


def make(spec: StrategySpec, source: Source | None) -> Strategy:
    """Build the strategy in this process.

    Only built-in strategies are built where labels are; see `runners.confine.opening`.

    Args:
        spec: name and arguments.
        source: source of a user's strategy, `None` for all others.

    Raises:
        InputError: unknown name, unknown argument, or an object that is no strategy.
    """
    where = f"strategy {spec.name}"
    module, _, name = spec.name.rpartition(":")
    if source is None and module == ACTIVEML:
        strategy: Strategy = _activeml(where).ScikitActiveml(name, **spec.args)
        return strategy
    return _build(factory(spec, source), spec, where)


def factory(spec: StrategySpec, source: Source | None) -> Any:
    """Return the class, function or object that the name refers to, not built yet.

    For scikit-activeml it is the library's class.

    Raises:
        InputError: unknown name, or a file or module that cannot be imported.
    """
    where = f"strategy {spec.name}"
    module, _, name = spec.name.rpartition(":")
    if source is None and module == ACTIVEML:
        offered = _activeml(where).strategies()
        if name not in offered:
            raise InputError(unknown_name(where, name, list(offered)))
        return offered[name]
    if source is not None or module:
        return get_attribute(import_user_code(module if source is None else source, where), name, where)
    if spec.name in STRATEGIES:
        return STRATEGIES[spec.name]
    point = plugins().get(spec.name)
    if point is None:
        raise InputError(unknown_name("strategy", spec.name, known_names()))
    try:
        return point.load()
    except Exception as error:  # whatever the installed package raises
        raise InputError(
            Fault(where, f"an entry point that loads ({point.value})", f"{type(error).__name__}: {error}")
        ) from error


def declaring_object(spec: StrategySpec, strategy: Any) -> Any:
    """Return the object that declares paper, needs, cost and cold start.

    It is the strategy, or the adapter that runs it.
    """
    return _activeml(spec.name).ScikitActiveml if spec.name.startswith(f"{ACTIVEML}:") else strategy


def _activeml(where: str) -> ModuleType:
    try:
        return importlib.import_module("runners.strategies.activeml")
    except ModuleNotFoundError as error:
        raise InputError(
            Fault(where, "scikit-activeml", f"not installed ({error})", "install the extra: uv sync --extra skactiveml")
        ) from None


def _build(factory: Any, spec: StrategySpec, where: str) -> Strategy:
    if not inspect.isclass(factory):
        if spec.args:
            raise InputError(Fault(f"{where}: args", "none, since it is a function", str(sorted(spec.args))))
        if not (callable(factory) or hasattr(factory, "select")):
            raise InputError(Fault(where, "a class or function select(view, n, rng)", f"a {type(factory).__name__}"))
        _check_needs(factory, where)
        return Wrapped(factory)
    try:
        made = factory(**spec.args)
    except TypeError as error:
        found = f"{', '.join(sorted(spec.args)) or 'none'}: {error}"
        fix = f'in the study: strategies = [{{ name = "{spec.name}", args = {{ {_first_argument(factory)} = … }} }}]'
        raise InputError(Fault(f"{where}: args", f"arguments of {inspect.signature(factory)}", found, fix)) from None
    if not callable(getattr(made, "select", None)):
        raise InputError(Fault(where, "a method select(self, view, n, rng)", f"{factory.__name__} has none"))
    _check_needs(made, where)
    return made if isinstance(made, Strategy) else Wrapped(made)


def _first_argument(factory: Any) -> str:
    """Return the name of the first argument without a default, else of the first argument."""
    taken = list(inspect.signature(factory).parameters.values())
    return next((p.name for p in taken if p.default is p.empty), taken[0].name if taken else "…")


def _check_needs(inner: Any, where: str) -> None:
    """Raise InputError for unknown needs, before anything is trained."""
    needs = getattr(inner, "needs", ())
    if isinstance(needs, str):
        fix = f"a comma makes it a tuple: needs = ({needs!r},)"
        raise InputError(Fault(f"{where}: needs", "a tuple of names", f"text, {needs!r}", fix))
    if unknown := [need for need in needs if need not in NEEDS]:
        raise InputError([unknown_name(f"{where}: needs", str(need), NEEDS) for need in unknown])
