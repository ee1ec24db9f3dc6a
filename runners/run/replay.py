"""Choose again: make the rounds of a recorded run again from its seeds, and compare predictions, metric and query.

Every strategy is given what it was given then: the round is trained again on the labels that the record says were owned, of a warm
start after all rounds before it. Random's queries need the record alone: without the data they are all that is compared. The study's
folder is only read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from protocol.digests import sha256
from protocol.draws.seeds import generator
from protocol.draws.splits import Indices, redraw_split
from protocol.errors import BeatRandomError, Fault, InputError
from protocol.oracle.oracle import Holdings, Oracle
from protocol.record.chain import Record, read
from protocol.record.events import LabelsEvent, RoundEvent, RunEvent, TrialEvent
from protocol.record.layout import RunFolder, StudyFolder
from protocol.record.replay_answers import Replayed
from protocol.spec.study import BASELINE
from protocol.spec.units import Units
from runners.datasets import Images
from runners.datasets.regions import read_units
from runners.loop import Outcome, ask, inputs_of, rounds, wanted
from runners.machine.environment import describe
from runners.progress.status import kept_copy
from runners.regimes import EndState, Resident, prepare
from runners.regimes.tuner import Tuner
from runners.run.initial_query import START, own_start
from runners.run.replay_answer import compared, judged, with_trials
from runners.run.session import Order, Stock
from runners.run.warm_start import Training
from runners.strategies import Strategy, View
from runners.strategies.baseline import Random
from runners.strategies.resolve import make

_DECIDES = ("python", "platform", "packages", "device", "device_name", "threads")
"""What of the environment can change a float's last bits and so a query."""


@dataclass
class Trail:
    """How far a run with a warm start has been trained again: round `next` starts from `ended`."""

    next: int = 0
    ended: EndState | None = None


def choose_again(
    run: RunFolder, wanted: Sequence[int] | None, data_root: Path | None, device: str | None, *, trials: bool = False
) -> Iterator[Replayed]:
    """Replay the rounds `wanted` (None: all, and a starting set that was left to the strategy, as round -1) of one run, in order.

    Args:
        data_root: where data sets lie; not needed for random's queries.
        device: where to train again; None: the device that the record names.
        trials: make the trials of a tuned protocol again, too, and compare their scores; else the recorded ones are taken for granted.

    Raises:
        InputError: no sound record, no such round, or a strategy whose kept source is not the recorded one.
    """
    record = sound(run)
    head = next(e for e in record.events if isinstance(e, RunEvent))
    tried = {e.round for e in record.of(TrialEvent)} if trials else set()
    asked = {e.round: e for e in record.rounds}
    if strangers := [k for k in wanted or () if k not in asked]:
        known = ", ".join(map(str, sorted(asked))) or "none"
        raise InputError(Fault(f"{run.events}: --round", f"a round of the record: {known}", str(strangers[0])))
    chosen = sorted(asked if wanted is None else set(wanted))
    device = device or str(head.environment.get("device", "cpu"))
    if device.startswith("cuda") and not torch.cuda.is_available():
        device = "cpu"
    threads = head.environment.get("threads")
    torch.set_num_threads(threads if isinstance(threads, int) and threads > 0 else 1)
    there, here = head.environment, describe(device, torch.get_num_threads())
    other = [key for key in _DECIDES if there.get(key) != here.get(key)]
    code = [str(told.get("commit", "unknown"))[:12] for told in (there, here)]
    commits = f" (made by commit {code[0]}, again by {code[1]})" if code[0] != code[1] else ""
    study = StudyFolder(run.path.parents[3])
    trail = Trail()
    if head.protocol.splits.initial == "strategy" and wanted is None:
        yield _start_answered(study, record, head, data_root, torch.device(device), other)
    for k in chosen:
        try:
            outcome, made = _again(study, record, head, k, data_root, torch.device(device), trail, k in tried)
        except BeatRandomError as error:
            fault = error.faults[0]
            missing = f"{fault.where}: expected {fault.expected}, found {fault.found}"
            if head.strategy.name != BASELINE or tried:
                yield Replayed(round=k, answer="undecided", said=missing)
            elif asked[k].query:
                found = compared(k, asked[k].query, _random_query(study, record, head, k))
                yield found.model_copy(
                    update={"said": f"{found.said}, by the record alone; not trained again ({missing})"}
                )
        else:
            found = judged(asked[k], outcome, head.protocol.metric, other, exact=device == "cpu", commits=commits)
            yield (
                found
                if k not in tried
                else with_trials(found, [e for e in record.of(TrialEvent) if e.round == k], made, other)
            )


def _start_answered(
    study: StudyFolder,
    record: Record,
    head: RunEvent,
    data_root: Path | None,
    device: torch.device,
    other: Sequence[str],
) -> Replayed:
    """The starting set's replay; another environment may have other last bits of embeddings, and so another choice."""
    try:
        found = _start_again(study, record, head, data_root, device)
    except BeatRandomError as error:
        fault = error.faults[0]
        return Replayed(
            round=START, answer="undecided", said=f"{fault.where}: expected {fault.expected}, found {fault.found}"
        )
    if found.answer == "differs" and other:
        return found.model_copy(
            update={"answer": "undecided", "said": f"{found.said}; in another environment ({', '.join(other)})"}
        )
    return found


def sound(run: RunFolder) -> Record:
    """The record of a run, if it can be believed as far as its chain goes. Raises InputError, RecordError."""
    record = read(run.events)
    if record.breaks or record.run is None:
        raise InputError(record.breaks or Fault(str(run.events), "a record of a run", "no 'run' event"))
    return record


def _before(record: Record, k: int) -> list[LabelsEvent]:
    """Purchases that precede round k."""
    place = next(i for i, e in enumerate(record.events) if isinstance(e, RoundEvent) and e.round == k)
    return [e for e in record.events[:place] if isinstance(e, LabelsEvent)]


def _random_query(study: StudyFolder, record: Record, head: RunEvent, k: int) -> Indices:
    protocol, card = head.protocol, head.split
    split = redraw_split(protocol, head.replicate, **card.sizes)
    units = read_units(study, head.data.units) if head.data.units else Units.images(int(split.pool.max()) + 1)
    held = Holdings(protocol, split, units)
    for e in _before(record, k):
        held.keep(e.purpose, np.asarray(e.indices, np.int64), e.after)
    owned = held.owned_at(k)
    view = View(held.unlabelled, owned, np.zeros(len(owned), np.int64), head.data.classes, k)
    rng, n = generator(protocol.root_seed, "query", head.replicate, k), wanted(protocol, k, held)
    return ask(Random(), "random", view, n, rng) if n else np.empty(0, np.int64)


@dataclass(frozen=True)
class _Setup:
    """What a run was made with, loaded again; `oracle` sells nothing."""

    strategy: Strategy
    stock: Stock
    oracle: Oracle
    images: Images
    resident: Resident


def _set_up(
    study: StudyFolder, head: RunEvent, bought: Sequence[LabelsEvent], data_root: Path | None, device: torch.device
) -> _Setup:
    """Load data and strategy, and hand over what was bought. Raises InputError where they are others than the record's."""
    protocol, strategy = head.protocol, head.strategy
    source = kept_copy(study, strategy)
    if source is not None and (not source.is_file() or sha256(source.read_bytes()) != strategy.source_digest):
        raise InputError(
            Fault(str(source), f"the source that was run, {str(strategy.source_digest)[:16]}", "another, or none")
        )
    order = Order(
        study=str(study.path),
        plan=head.study,
        protocol=protocol,
        strategy=strategy,
        seed=head.replicate,
        data_root=data_root,
    )
    stock = Stock.of(order)
    if head.data.units and stock.division.units.digest != head.data.units:
        found, fix = (
            stock.division.units.digest[:16],
            "superpixels depend on the version of scikit-image: use the one that made them",
        )
        raise InputError(Fault("regions of the images", f"the recorded ones, {head.data.units[:16]}", found, fix))
    if stock.images.digest != head.data.digest:
        raise InputError(
            Fault(
                f"data set {stock.images.name}",
                f"the recorded content, {head.data.digest[:16]}",
                stock.images.digest[:16],
            )
        )
    oracle = stock.oracle(order, _nothing_is_sold, (lambda *_: None) if strategy.upper_line else None)
    for purchase in bought:
        oracle.restore(purchase.purpose, np.asarray(purchase.indices, np.int64))
    raw = Resident.of(stock.images, device)
    images, resident = prepare(protocol, stock.images, raw, stock.split.pool, study, keep=False, data_root=data_root)
    return _Setup(make(strategy, source), stock, oracle, images, resident)


def _start_again(
    study: StudyFolder, record: Record, head: RunEvent, data_root: Path | None, device: torch.device
) -> Replayed:
    """Choose the starting set anew."""
    event = next((e for e in record.of(LabelsEvent) if e.purpose == "initial"), None)
    if event is None:
        raise InputError(Fault(str(record.path), "a starting set", "none"))
    setup = _set_up(study, head, [], data_root, device)
    start = own_start(
        head.protocol, head.strategy, setup.strategy, head.replicate, setup.images, setup.oracle, setup.resident
    )
    if (start is not None) != event.chosen:
        told, is_ = (
            ("its own start", "one that the seed draws") if event.chosen else ("a start that the seed drew", "its own")
        )
        return Replayed(round=START, answer="differs", said=f"recorded as {told}, but the strategy has {is_}")
    if start is None:
        return Replayed(round=START, answer="equal", said="drawn by the seed, as this strategy cannot choose it")
    return compared(START, event.indices, start)


def _again(
    study: StudyFolder,
    record: Record,
    head: RunEvent,
    k: int,
    data_root: Path | None,
    device: torch.device,
    trail: Trail,
    tried: bool,
) -> tuple[Outcome, list[TrialEvent]]:
    """Train and query round k anew from what the record says was owned; if it `tried` settings that are to be tried again, these trials."""
    protocol, strategy = head.protocol, head.strategy
    setup = _set_up(study, head, _before(record, k), data_root, device)
    oracle, images, resident, stock = setup.oracle, setup.images, setup.resident, setup.stock
    tuner = Tuner(head.replicate, record.of(TrialEvent))
    if protocol.regime.start == "warm":
        for ended in Training(protocol, head.replicate, images, oracle, resident, tuner).rounds(
            trail.next, k, trail.ended
        ):
            trail.next, trail.ended = trail.next + 1, ended
    before, division, again = trail.ended, stock.division, list[TrialEvent]()
    if tried:
        inputs = inputs_of(protocol, k, images, oracle)
        Tuner(head.replicate, (), again.append).chosen(protocol, k, inputs, oracle, resident, before)
    run = rounds(
        protocol,
        setup.strategy,
        strategy.id,
        head.replicate,
        images,
        stock.split,
        oracle,
        resident,
        k,
        before=before,
        division=division,
        tuner=tuner,
    )
    outcome = next(run)
    trail.next, trail.ended = k + 1, outcome.fit.end
    return outcome, again


def _nothing_is_sold(sale: LabelsEvent) -> None:
    raise InputError(
        Fault(
            "replay", "no purchase", f"{len(sale.indices)} labels ({sale.purpose}), cost {sale.before} to {sale.after}"
        )
    )
