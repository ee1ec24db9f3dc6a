"""One run, on one screen: train, evaluate once, query, buy; then again with more labels."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from protocol.draws.seeds import generator
from protocol.draws.shown_maps import draw_shown_maps
from protocol.draws.splits import Indices
from protocol.errors import Fault
from protocol.oracle.oracle import Holdings, LabelOracle
from protocol.spec.protocol import Protocol
from protocol.spec.tuning import HyperparameterSetting
from runners.features.regions import Regions
from runners.features.round import Round
from runners.features.view_of_round import build_view, ensemble, prepare
from runners.guard.errors import StrategyError
from runners.regimes import EndState, Fit, FitInputs, fit
from runners.regimes.tuner import Tuner
from runners.session import Session
from runners.strategies import Strategy, View
from runners.strategies.base import check_selection
from runners.tasks import TASKS, Evaluation


@dataclass(frozen=True)
class Outcome:
    """Result of one round: metrics, next query, and cost (seconds, MiB).

    Attributes:
        setting: what tuning chose for the recipe; empty: the recipe as declared.
        state: what a strategy that is not built in keeps for the next round; None: nothing.
    """

    round: int
    fit: Fit
    examined: Evaluation
    query: Indices
    cost: dict[str, float] = field(default_factory=dict)
    setting: HyperparameterSetting = field(default_factory=dict)
    state: Mapping[str, NDArray[Any]] | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """Return the metrics of the test predictions."""
        return self.examined.metrics


def rounds(
    session: Session,
    strategy: Strategy,
    first: int,
    *,
    before: EndState | None = None,
    tuner: Tuner | None = None,
    keep_tables: bool = True,
) -> Iterator[Outcome]:
    """Yield each round's outcome from round `first` on.

    The query is bought when the next round is asked for, so that the caller can record the round first.
    Every round builds weights, BatchNorm statistics, optimizer, and schedule from the run's seed streams. Only the
    labelled set carries over, and with a warm start the weights.

    Args:
        before: with a warm start, the state that the round before `first` ended with.
        tuner: chooses the setting of every round of a tuned protocol; None: a new one that records nothing.
        keep_tables: whether to keep and measure log-probabilities, and to keep a sample of predicted maps.

    Raises:
        StrategyError: the strategy failed, or its selection breaks the rules.
        ValueError: `before` does not fit the protocol's `regime.start`.
    """
    declared, oracle, split, resident = session.protocol, session.oracle, session.split, session.resident
    _check_start(declared, first, before)
    task, tuner = TASKS[declared.task], tuner or Tuner(session.seed)
    strategy = task.adapt_or_refuse(strategy, session.strategy, regions=session.queries_regions)
    height, width = session.images.pixels.shape[1:3]
    maps = draw_shown_maps(declared, session.seed, len(split.test), height, width)[: None if keep_tables else 0]
    for k in range(first, len(declared.budgets)):
        clock, last = Clock(), k + 1 == len(declared.budgets)
        inputs = session.inputs(k)
        setting = tuner.choose(declared, k, inputs, oracle, resident, before)
        if setting:
            clock.lap("tune_s")
        tuned = session.with_setting(setting)
        fitted = fit(tuned.protocol, inputs, session.seed, k, resident, before)
        clock.lap("train_s")
        examined = task.examine(fitted.learner, split.test, oracle, keep_tables, maps)
        clock.lap("evaluate_s")
        query = np.empty(0, np.int64) if last else _query(tuned, strategy, k, inputs, fitted, clock)
        clock.lap("query_s")
        cost = clock.cost | {"peak_memory_mib": peak_memory_mib()}
        yield Outcome(k, fitted, examined, query, cost, setting, None if last else strategy.state())
        before = fitted.end
        if not last:
            oracle.buy(query)


def _check_start(protocol: Protocol, first: int, before: EndState | None) -> None:
    if 0 < first < len(protocol.budgets) and (before is None) != (protocol.regime.start == "reset"):
        given = "no weights" if before is None else "weights"
        raise ValueError(
            f"regime.start = {protocol.regime.start!r} and {given} of the round before round {first} do not go together"
        )


def _query(session: Session, strategy: Strategy, k: int, inputs: FitInputs, fitted: Fit, clock: Clock) -> Indices:
    """Let the strategy choose what to label next; the caller takes the last lap."""
    protocol, oracle, division = session.protocol, session.oracle, session.division
    regions = Regions(oracle.unlabelled, oracle.labelled_at(k), division) if division and division.maps else None
    now = Round(protocol, session.seed, k, inputs, fitted, session.resident, regions)
    n, rng = query_size(protocol, k, oracle), generator(protocol.root_seed, "query", session.seed, k)
    with strategy.in_round():
        members = ensemble(now, strategy)
        clock.lap("members_s")
        view = build_view(now, strategy, members, oracle.disclose)
        clock.lap("features_s")
        prepare_strategy(now, strategy, session.strategy, view)
        clock.lap("prepare_s")
        return select(strategy, session.strategy, view, n, rng) if n else np.empty(0, np.int64)


def query_size(protocol: Protocol, k: int, oracle: LabelOracle | Holdings) -> int:
    """Return the number of units to query in round `k`.

    With metered budgets this is an upper bound: units are bought in the returned order until the next budget is
    reached.
    """
    if not protocol.metered:
        return protocol.budgets[k + 1] - protocol.budgets[k]
    return oracle.affordable(protocol.budgets[k + 1])


def prepare_strategy(now: Round, strategy: Strategy, name: str, view: View) -> None:
    """Train the strategy's own part. Raises StrategyError if it fails."""
    with _strategy_errors(name, view, "to prepare"):
        prepare(now, strategy, view)


def select(strategy: Strategy, name: str, view: View, n: int, rng: np.random.Generator) -> Indices:
    """Return the strategy's selection of `n` units after checking it.

    Raises:
        StrategyError: the strategy failed, its selection breaks the rules, or it needs labels and there are none.
    """
    if not len(view.labelled) and not strategy.cold_start:
        where = f"strategy {name}, round {view.round}"
        fix = "start from a labelled set, or use a strategy with cold_start"
        raise StrategyError(Fault(where, "at least one labelled unit", "none", fix))
    with _strategy_errors(name, view, "a selection"):
        return check_selection(strategy.select(view, n, rng), view, n, name)


@contextmanager
def _strategy_errors(name: str, view: View, expected: str) -> Iterator[None]:
    """Turn everything that a strategy raises, even SystemExit, into a StrategyError.

    So a strategy that fails costs only its own run.
    """
    where = f"strategy {name}, round {view.round}"
    try:
        yield
    except (StrategyError, KeyboardInterrupt):
        raise
    except BaseException as error:
        found = f"{type(error).__name__}: {error}"
        fix = "fix the strategy; the full traceback is in events.jsonl"
        raise StrategyError(Fault(where, expected, found, fix)) from error


class Clock:
    """Seconds between laps, by name."""

    def __init__(self) -> None:
        self.cost: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Store the time since the last lap under `name`."""
        now = time.perf_counter()
        self.cost[name], self._last = round(now - self._last, 4), now


def peak_memory_mib() -> float:
    """Return the largest resident memory of this process so far, plus that of the device."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    device = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_initialized() else 0.0  # type: ignore[no-untyped-call]
    return round(host + device, 1)
