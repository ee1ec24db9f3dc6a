"""Replay a recorded run from its seeds; compare predictions, metric, and query of each round.

Every strategy gets what it got then: the round is trained on the labels that were bought by then according to the
record, after all earlier rounds if the run has a warm start. Queries of random need only the record: without the data
they alone are compared. The study's folder is only read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from protocol.digests import sha256
from protocol.draws.seeds import generator
from protocol.draws.splits import Indices, redraw_split
from protocol.errors import BeatRandomError, Fault, InputError
from protocol.oracle.oracle import Holdings
from protocol.record.chain import Record, read
from protocol.record.events import LabelsEvent, RoundEvent, RunEvent, TrialEvent
from protocol.record.layout import RunFolder, StudyFolder
from protocol.record.replay_answers import Replayed
from protocol.record.stored_arrays import StoredArray, read_arrays
from protocol.safe_read import read_bytes
from protocol.spec.study import BASELINE, StrategySpec
from protocol.spec.units import Units
from runners.confine.opening import denied_places, is_own, opened_strategy
from runners.confine.server import StrategyServer, strategy_server
from runners.datasets.regions import read_units
from runners.guard.errors import StrategyError
from runners.guard.user_code import LARGEST_SOURCE, Source
from runners.loop import Outcome, query_size, rounds, select
from runners.machine.environment import describe
from runners.progress.status import copied_source
from runners.regimes import EndState, Resident, prepare
from runners.regimes.tuner import Tuner
from runners.run.initial_query import START, initial_query
from runners.run.open_oracle import LabelledData, SessionSpec
from runners.run.replay_answer import compare_query, compare_round, compare_trials
from runners.run.warm_start import retrain
from runners.session import Session
from runners.strategies import Strategy, View
from runners.strategies.baseline import Random

_MOST_THREADS = 1024
_ENVIRONMENT = ("python", "platform", "packages", "device", "device_name", "threads")
"""Facts of an environment that can change the last bits of floats, and so a query."""


@dataclass(frozen=True)
class _Replay:
    """The recorded run, and where it is made again.

    Attributes:
        start: the record's first event.
        differences: names of the facts in `_ENVIRONMENT` that differ from the recorded ones.
        server: forks the processes of a strategy that is not built in.
    """

    study: StudyFolder
    record: Record
    start: RunEvent
    data_root: Path | None
    device: torch.device
    differences: list[str]
    server: StrategyServer | None = None


@dataclass
class _Progress:
    """How far a run with a warm start is trained again: round `next` starts from `ended`."""

    next: int = 0
    ended: EndState | None = None


def replay_run(
    run: RunFolder, wanted: Sequence[int] | None, data_root: Path | None, device: str | None, *, trials: bool = False
) -> Iterator[Replayed]:
    """Replay rounds of one run, in order, and yield an answer for each.

    Args:
        wanted: rounds; None: all, and as round -1 an initial set that was left to the strategy.
        data_root: folder of data sets; not needed for queries of random.
        device: where to train; None: the recorded device.
        trials: whether to repeat the trials of a tuned protocol and compare scores; else the recorded scores are used.

    Raises:
        InputError: there is no intact record or no such round.
    """
    record, start = read_intact_record(run)
    recorded = {e.round: e for e in record.rounds}
    if unknown := [k for k in wanted or () if k not in recorded]:
        numbers = ", ".join(map(str, sorted(recorded))) or "none"
        raise InputError(Fault(f"{run.events}: --round", f"a round of the record: {numbers}", str(unknown[0])))
    if strange := [k for k in recorded if not 0 <= k < len(start.protocol.budgets)]:
        expected = f"rounds from 0 to {len(start.protocol.budgets) - 1}"
        raise InputError(Fault(str(run.events), expected, f"round {strange[0]}", "the record was edited"))
    device = device or str(start.environment.get("device", "cpu"))
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device) or not (device == "cpu" or torch.cuda.is_available()):
        device = "cpu"
    threads = start.environment.get("threads")
    torch.set_num_threads(threads if isinstance(threads, int) and 0 < threads <= _MOST_THREADS else 1)
    then, now = start.environment, describe(device, torch.get_num_threads())
    differences = [key for key in _ENVIRONMENT if then.get(key) != now.get(key)]
    with strategy_server() if is_own(start.strategy) else nullcontext() as server:
        study = StudyFolder(run.path.parents[3])
        replay = _Replay(study, record, start, data_root, torch.device(device), differences, server)
        if start.protocol.splits.initial == "strategy" and wanted is None:
            yield _replay_start(replay)
        yield from _replay_rounds(
            replay, sorted(recorded if wanted is None else set(wanted)), _commits(then, now), trials
        )


def _replay_rounds(replay: _Replay, numbers: Sequence[int], commits: str, trials: bool) -> Iterator[Replayed]:
    """Yield an answer for each of these rounds."""
    record, progress = replay.record, _Progress()
    recorded = {e.round: e for e in record.rounds}
    tuned = {e.round for e in record.of(TrialEvent)} if trials else set()
    for k in numbers:
        try:
            outcome, repeated = _train_again(replay, k, progress, trials=k in tuned)
        except StrategyError as error:  # a verdict needs a complete, well-formed answer
            yield Replayed(round=k, answer="differs", said=_brief(error))
            progress.next, progress.ended = 0, None
            continue
        except BeatRandomError as error:
            if (answer := _without_training(replay, recorded[k], _brief(error), trials=bool(tuned))) is not None:
                yield answer
            continue
        metric, exact = replay.start.protocol.metric, replay.device.type == "cpu"
        answer = compare_round(recorded[k], outcome, metric, replay.differences, exact=exact, commits=commits)
        if k in tuned:
            trials_then = [e for e in record.of(TrialEvent) if e.round == k]
            answer = compare_trials(answer, trials_then, repeated, replay.differences)
        yield answer


def _commits(then: dict[str, object], now: dict[str, object]) -> str:
    old, new = (str(environment.get("commit", "unknown"))[:12] for environment in (then, now))
    return f" (recorded with commit {old}, replayed with {new})" if old != new else ""


def _brief(error: BeatRandomError) -> str:
    fault = error.faults[0]
    return f"{fault.where}: expected {fault.expected}, found {fault.found}"


def _without_training(replay: _Replay, event: RoundEvent, reason: str, *, trials: bool) -> Replayed | None:
    """Answer for a round that cannot be trained again; random's query needs only the record."""
    if replay.start.strategy.name != BASELINE or trials:
        return Replayed(round=event.round, answer="undecided", said=reason)
    if not event.query:
        return None
    answer = compare_query(event.round, event.query, _random_query(replay, event.round))
    return answer.model_copy(update={"said": f"{answer.said}, from the record alone; not trained again ({reason})"})


def _replay_start(replay: _Replay) -> Replayed:
    """Answer for the initial set, which may depend on the last bits of the environment's floats."""
    try:
        answer = _choose_start(replay)
    except StrategyError as error:
        return Replayed(round=START, answer="differs", said=_brief(error))
    except BeatRandomError as error:
        return Replayed(round=START, answer="undecided", said=_brief(error))
    if answer.answer == "differs" and replay.differences:
        said = f"{answer.said}; in another environment ({', '.join(replay.differences)})"
        return answer.model_copy(update={"answer": "undecided", "said": said})
    return answer


def _choose_start(replay: _Replay) -> Replayed:
    event = next((e for e in replay.record.of(LabelsEvent) if e.purpose == "initial"), None)
    if event is None:
        raise InputError(Fault(str(replay.record.path), "an initial set", "none"))
    with _open_session(replay, []) as (session, strategy):
        chosen = initial_query(session, replay.start.strategy, strategy)
    if (chosen is not None) != event.chosen:
        words = {True: "chosen by the strategy", False: "drawn by the seed"}
        said = f"initial set recorded as {words[event.chosen]}, but it is {words[not event.chosen]}"
        return Replayed(round=START, answer="differs", said=said)
    if chosen is None:
        return Replayed(round=START, answer="equal", said="drawn by the seed, as this strategy cannot choose it")
    return compare_query(START, event.indices, chosen)


def read_intact_record(run: RunFolder) -> tuple[Record, RunEvent]:
    """Return a record and its first event. Raises InputError or RecordError if it is broken."""
    record = read(run.events, run.root)
    if record.breaks or record.run is None:
        raise InputError(record.breaks or Fault(str(run.events), "a record of a run", "no 'run' event"))
    return record, record.run


def _purchases_before(record: Record, k: int) -> list[LabelsEvent]:
    """Return the purchases that precede round `k`."""
    place = next(i for i, e in enumerate(record.events) if isinstance(e, RoundEvent) and e.round == k)
    return [e for e in record.events[:place] if isinstance(e, LabelsEvent)]


def _random_query(replay: _Replay, k: int) -> Indices:
    start = replay.start
    protocol, units_digest = start.protocol, start.data.units
    split = redraw_split(protocol, start.replicate, **start.split.sizes)
    if units_digest:
        units = read_units(replay.study, units_digest, start.data.images)
    else:
        units = Units.images(int(split.pool.max()) + 1)
    holdings = Holdings(protocol, split, units)
    for e in _purchases_before(replay.record, k):
        holdings.add(e.purpose, np.asarray(e.indices, np.int64), e.after)
    labelled = holdings.labelled_at(k)
    view = View(holdings.unlabelled, labelled, np.zeros(len(labelled), np.int64), start.data.classes, k)
    rng, n = generator(protocol.root_seed, "query", start.replicate, k), query_size(protocol, k, holdings)
    return select(Random(), BASELINE, view, n, rng) if n else np.empty(0, np.int64)


@contextmanager
def _open_session(replay: _Replay, purchases: Sequence[LabelsEvent]) -> Iterator[tuple[Session, Strategy]]:
    """Load data, restore purchases, and open the strategy; the oracle sells nothing.

    The code of a strategy that is not built in runs in a process of its own, and is asked twice.

    Raises:
        InputError: the data or the strategy's source are not the recorded ones.
    """
    start, study = replay.start, replay.study
    protocol, strategy = start.protocol, start.strategy
    source = _recorded_source(study, strategy)
    spec = SessionSpec(
        study=str(study.path),
        plan=start.study,
        protocol=protocol,
        strategy=strategy,
        seed=start.replicate,
        data_root=replay.data_root,
    )
    data = LabelledData.load(spec)
    if start.data.units and (digest := data.division.units.digest) != start.data.units:
        fix = "superpixels depend on the version of scikit-image: install the recorded version"
        expected = f"the recorded regions, {start.data.units[:16]}"
        raise InputError(Fault("regions of the images", expected, digest[:16], fix))
    if (digest := data.images.digest) != start.data.digest:
        expected = f"the recorded content, {start.data.digest[:16]}"
        raise InputError(Fault(f"data set {data.images.name}", expected, digest[:16]))
    oracle = data.oracle(spec, _refuse_sale, (lambda *_: None) if strategy.upper_line else None)
    for purchase in purchases:
        oracle.restore(purchase.purpose, np.asarray(purchase.indices, np.int64))
    raw = Resident.of(data.images, replay.device)
    images, resident = prepare(
        protocol, data.images, raw, data.split.pool, study, keep=False, data_root=replay.data_root
    )
    session = Session(protocol, strategy.id, start.replicate, images, data.split, oracle, resident, data.division)
    with opened_strategy(
        strategy,
        source,
        protocol,
        start.replicate,
        data.images.train_size + data.images.test_size,
        denied=denied_places(study.path, replay.data_root, data.files),
        server=replay.server,
        threads=torch.get_num_threads(),
        device=str(replay.device),
        twice=True,
        quiet=True,
    ) as opened:
        yield session, opened


def _recorded_source(study: StudyFolder, strategy: StrategySpec) -> Source | None:
    """Return the study's copy of a user's file. Raises InputError if it is not what was run."""
    path = copied_source(study, strategy)
    if path is None:
        return None
    code = read_bytes(path, LARGEST_SOURCE) if path.is_file() else None
    if code is None or sha256(code) != strategy.source_digest:
        expected = f"the source that was run, with SHA-256 {str(strategy.source_digest)[:16]}"
        raise InputError(Fault(str(path), expected, sha256(code)[:16] if code is not None else "no file"))
    return Source(str(path), code)


def _train_again(replay: _Replay, k: int, progress: _Progress, *, trials: bool) -> tuple[Outcome, list[TrialEvent]]:
    """Train and query round `k` again; return its outcome and, if `trials`, the repeated trials."""
    with _open_session(replay, _purchases_before(replay.record, k)) as (session, strategy):
        protocol, seed = session.protocol, session.seed
        tuner = Tuner(seed, replay.record.of(TrialEvent))
        if protocol.regime.start == "warm":
            for ended in retrain(session, tuner, progress.next, k, progress.ended):
                progress.next, progress.ended = progress.next + 1, ended
        before, repeated = progress.ended, list[TrialEvent]()
        if trials:
            again = Tuner(seed, (), repeated.append)
            again.choose(protocol, k, session.inputs(k), session.oracle, session.resident, before)
        if (kept := _state_before(replay.record, k)) is not None:
            strategy.restore(read_arrays(kept))
        outcome = next(rounds(session, strategy, k, before=before, tuner=tuner))
        progress.next, progress.ended = k + 1, outcome.fit.end
        return outcome, repeated


def _state_before(record: Record, k: int) -> Mapping[str, StoredArray] | None:
    """Return what the strategy kept in the round before round `k`, according to the record."""
    return next((e.state for e in record.rounds if e.round == k - 1), None)


def _refuse_sale(sale: LabelsEvent) -> None:
    found = f"{len(sale.indices)} labels ({sale.purpose}), cost {sale.before} to {sale.after}"
    raise InputError(Fault("replay", "no purchase", found))
