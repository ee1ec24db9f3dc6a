"""Open the strategy of a run: built-in ones in this process, all others in a process of their own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from protocol.draws.seeds import derive
from protocol.errors import Fault, InputError
from protocol.spec.protocol import Protocol
from protocol.spec.study import StrategySpec
from runners.caching import cache_folder
from runners.confine.declared import Declared, Facts
from runners.confine.server import StrategyServer, strategy_server
from runners.confine.strategy import Cell, ConfinedMapStrategy, ConfinedStrategy, Conversation, declared_by, facts_of
from runners.confine.walls import Ground
from runners.features.opaque_ids import OpaqueIds
from runners.guard.user_code import Source
from runners.strategies import STRATEGIES
from runners.strategies.base import Strategy
from runners.strategies.resolve import make, plugins


def is_own(spec: StrategySpec) -> bool:
    """Return whether a strategy is not built in, so that its code never runs where labels are."""
    return spec.name not in STRATEGIES


@contextmanager
def scratch() -> Iterator[str]:
    """Yield the scratch folder of a strategy's process, and remove it with what was left in it."""
    with tempfile.TemporaryDirectory(prefix="beatrandom-strategy-", ignore_cleanup_errors=True) as folder:
        yield folder


def denied_places(study: Path | None, data_root: Path | None, files: Iterable[str] = ()) -> tuple[str, ...]:
    """Return what a strategy's process may not open, besides temporary folders.

    Args:
        study: folder of the study.
        data_root: folder of data sets.
        files: files that labels were read from.
    """
    places = [study, data_root, cache_folder(), Path(tempfile.gettempdir())]
    return tuple(sorted({*(str(place) for place in places if place is not None), *files}))


def module_folders() -> tuple[str, ...]:
    """Return the folders in which this process looks for modules, but for the working directory."""
    return tuple(folder for folder in sys.path if Path(folder).is_absolute() and Path(folder).is_dir())


def named_module(spec: StrategySpec) -> StrategySpec:
    """Return the specification with `package.module:Name` in the place of a name that a package announced."""
    point = plugins().get(spec.name)
    if point is None:
        return spec
    return spec.model_copy(update={"name": f"{point.module}:{point.attr}", "label": spec.id})


@contextmanager
def opened_strategy(
    spec: StrategySpec,
    source: Source | None,
    protocol: Protocol,
    replicate: int,
    images: int,
    *,
    denied: Iterable[str],
    server: StrategyServer | None = None,
    threads: int = 1,
    device: str = "cpu",
    twice: bool = False,
    quiet: bool = False,
) -> Iterator[Strategy]:
    """Yield the strategy of a run.

    Args:
        spec: name and arguments.
        source: source of a user's file; None: a registered name, or a module.
        protocol: the protocol; decides task and regions.
        replicate: the run's seed.
        images: number of images of the data set.
        denied: see `denied_places`.
        server: forks its processes; None: a new one.
        threads: threads of its arithmetic.
        device: device of its tensors.
        twice: whether every selection is asked for twice.
        quiet: whether what it prints is dropped.

    Raises:
        InputError: it cannot be built, does not serve the task, or must see what the protocol hides.
        StrategyError: its process ended.
    """
    if not is_own(spec):
        yield make(spec, source)
        return
    regions = protocol.labelling is not None and protocol.labelling.unit != "image"
    with scratch() as folder, _given_or_new(server) as forks:
        ground = Ground(tuple(denied), folder, module_folders())
        seed = derive(protocol.root_seed, "query", replicate, "global generators")
        cell = Cell(named_module(spec), source, ground, protocol.task, regions, threads, device, seed, quiet)
        declared = declared_by(forks, cell)
        refuse_seen_order(spec, declared, protocol)
        ids = None
        if not regions:
            ids = OpaqueIds.draw(protocol.root_seed, replicate, images, in_order=declared.sees_order)
        kind = ConfinedMapStrategy if declared.maps else ConfinedStrategy
        yield kind(forks, cell, declared, ids, twice=twice)


@contextmanager
def _given_or_new(server: StrategyServer | None) -> Iterator[StrategyServer]:
    if server is not None:
        yield server
        return
    with strategy_server() as new:
        yield new


def refuse_seen_order(spec: StrategySpec, declared: Declared, protocol: Protocol) -> None:
    """Raise InputError if the strategy must see the order of the images and the protocol hides it."""
    if declared.sees_order and protocol.splits.order != "shown":
        fix = 'splits.order = "shown" shows it to strategies that declare sees_order; or leave the strategy out'
        raise InputError(Fault(f"strategy {spec.id}", 'splits.order = "shown"', protocol.splits.order, fix))


def look_at(spec: StrategySpec, source: Source | None, protocol: Protocol | None = None) -> Declared:
    """Build a strategy that is not built in, in a process of its own, and return what it declares.

    Args:
        spec: name and arguments.
        source: source of a user's file.
        protocol: the protocol that it must serve; None: any.

    Raises:
        InputError: it cannot be built, or does not serve the protocol.
        StrategyError: its process ended.
    """
    with scratch() as folder, strategy_server() as forks:
        declared = declared_by(forks, _cell_to_look(spec, source, folder, protocol))
    if protocol is not None:
        refuse_seen_order(spec, declared, protocol)
    return declared


def declared_or_built(spec: StrategySpec, source: Source | None) -> Declared | Strategy:
    """Return an object with the declarations of any strategy, built in or not. Raises as `look_at`."""
    return look_at(spec, source) if is_own(spec) else make(spec, source)


def facts(spec: StrategySpec, source: Source | None) -> Facts:
    """Return what a strategy that is not built in says about itself. Raises as `look_at`."""
    with scratch() as folder, strategy_server() as forks:
        return facts_of(forks, _cell_to_look(spec, source, folder, None))


def _cell_to_look(spec: StrategySpec, source: Source | None, folder: str, protocol: Protocol | None) -> Cell:
    regions = protocol is not None and protocol.labelling is not None and protocol.labelling.unit != "image"
    ground = Ground(denied_places(None, None), folder, module_folders())
    return Cell(named_module(spec), source, ground, protocol.task if protocol else None, regions, quiet=True)


def walls_here(server: StrategyServer, denied: Iterable[str]) -> Mapping[str, Any]:
    """Return the walls that stand around a strategy's process on this machine, after raising them once."""
    with scratch() as folder:
        talk = Conversation(server, Cell(StrategySpec(name="random"), None, Ground(tuple(denied), folder), quiet=True))
        try:
            return talk.walls()
        finally:
            talk.close()
