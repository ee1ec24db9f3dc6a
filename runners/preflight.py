"""Refuse a study whose inputs cannot be used, before its first run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from protocol.draws.splits import make_split, refuse_unpayable
from protocol.errors import Fault, InputError
from protocol.spec.protocol import Protocol
from protocol.spec.study import Study
from runners.confine.opening import is_own, look_at
from runners.data import load
from runners.datasets.images import Images
from runners.datasets.regions import divide
from runners.datasets.registry import refuse_other_task
from runners.regimes import refuse_unknown_method
from runners.regimes.pretraining.bodies import body_from_file
from runners.strategies.base import Strategy
from runners.strategies.resolve import make
from runners.tasks import TASKS

Check = Callable[[], object]


def refuse_unusable_inputs(study: Study, data_root: Path | None) -> None:
    """Check names, data sets, splits and weights of every protocol.

    Each data set is read once, because its digest and its size are compared with the protocol. Otherwise a damaged
    file would be found by every run, and recorded as a failure of each.

    Raises:
        InputError: with all faults at once.
    """
    faults = _faults(check for protocol in study.protocols for check in _name_checks(study, protocol))
    for data in {p.data.model_dump_json(): p.data for p in study.protocols}.values():
        try:
            images, _ = load(data, data_root)
        except InputError as error:
            faults += error.faults
            continue
        protocols = [p for p in study.protocols if p.data == data]
        faults += _faults(partial(_fit, p, study.seeds[0], images, data_root) for p in protocols)
    if faults:
        raise InputError(faults)


def _name_checks(study: Study, protocol: Protocol) -> Iterator[Check]:
    task = TASKS[protocol.task]
    yield partial(refuse_other_task, protocol)
    yield partial(task.refuse_unknown_model, protocol.model.name, f"protocol {protocol.name}: model.name")
    yield partial(refuse_unknown_method, protocol)
    regions = protocol.labelling is not None and protocol.labelling.unit != "image"
    for strategy in study.strategies:
        if strategy.source_digest is not None:
            continue  # a user's file; its run tells
        if is_own(strategy):
            yield partial(look_at, strategy, None, protocol)
        else:
            yield partial(_refuse_equal_members, protocol, make(strategy, None), strategy.id)
            yield partial(task.adapt_or_refuse, make(strategy, None), strategy.id, regions=regions)


def _refuse_equal_members(protocol: Protocol, strategy: Strategy, name: str) -> None:
    """Refuse ensembles of solved heads: their members differ by seeds, and a solution has none."""
    if protocol.regime.solver is not None and "members" in strategy.needs:
        fix = "leave it out, or train by steps: regime.optimizer, batch_size and steps"
        where = f"protocol {protocol.name}, strategy {name}"
        raise InputError(
            Fault(where, "members of an ensemble that differ", "regime.solver, which gives all members one head", fix)
        )


def _fit(protocol: Protocol, seed: int, images: Images, data_root: Path | None) -> None:
    """Refuse splits, budgets and weights that do not fit the images."""
    split = make_split(protocol, seed, images.train_size, images.test_size)
    if protocol.labelling and protocol.labelling.superpixels is None:  # superpixels are counted by the runs
        refuse_unpayable(protocol, split, divide(protocol, images, None).units)
    if protocol.regime.pretraining and protocol.regime.pretraining.weights:
        body_from_file(protocol, images, data_root)


def _faults(checks: Iterator[Check]) -> list[Fault]:
    faults: list[Fault] = []
    for check in checks:
        try:
            check()
        except InputError as error:
            faults += error.faults
    return faults
