"""One run, on one screen: train, evaluate once, query, buy; then again with more labels."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from protocol.draws.seeds import generator
from protocol.draws.shown_maps import draw_shown_maps
from protocol.draws.splits import Indices, Split
from protocol.errors import Fault
from protocol.oracle.oracle import Holdings, Seller
from protocol.spec.protocol import Protocol
from protocol.spec.tuning import HyperparameterSetting
from protocol.spec.units import Division
from runners.datasets import Images
from runners.features.regions import Regions
from runners.features.round import Round
from runners.features.view_of_round import build_view, ensemble, prepare
from runners.guard.audit_hook import asked
from runners.guard.errors import StrategyError
from runners.guard.user_code import line_of
from runners.regimes import EndState, Fit, FitInputs, Resident, fit
from runners.regimes.tuner import Tuner
from runners.strategies import Strategy, View
from runners.strategies.base import check_selection
from runners.tasks import TASKS, Evaluation


@dataclass(frozen=True)
class Outcome:
    """What one round found: metrics, the next query, and what it cost (seconds, MiB)."""

    round: int
    fit: Fit
    examined: Evaluation
    query: Indices
    cost: dict[str, float] = field(default_factory=dict)
    setting: HyperparameterSetting = field(default_factory=dict)
    """What of the recipe trials have chosen; empty: the recipe as declared."""

    @property
    def metrics(self) -> dict[str, float]:
        """Of the test predictions."""
        return self.examined.metrics


def rounds(
    protocol: Protocol,
    strategy: Strategy,
    name: str,
    replicate: int,
    images: Images,
    split: Split,
    oracle: Seller,
    resident: Resident,
    first: int,
    tables: bool = True,
    before: EndState | None = None,
    division: Division | None = None,
    tuner: Tuner | None = None,
) -> Iterator[Outcome]:
    """Yield each round's outcome from round `first` on; the query is bought when the next round is asked for.

    Without `tables`, log-probabilities are neither kept nor measured, and no maps are kept. `before` is what the round before `first` ended with,
    of a run with a warm start; `division` says what regions there are, where they are bought; `tuner` finds, where the protocol is
    tuned, the setting of every round (None: one that has tried nothing yet and keeps nothing).

    Everything is rebuilt every round from the run's seed streams: weights, BatchNorm statistics,
    optimizer and schedule. Only the list of owned labels carries over, and the weights of a warm start.
    """
    if 0 < first < len(protocol.budgets) and (before is None) != (protocol.regime.start == "reset"):
        given = "no weights" if before is None else "weights"
        raise ValueError(
            f"regime.start = {protocol.regime.start!r} and {given} of the round before round {first} do not go together"
        )
    task, declared, tuner = TASKS[protocol.task], protocol, tuner or Tuner(replicate)
    with asked(f"strategy {name}"):
        strategy = task.adapt_or_refuse(strategy, name, regions=division is not None and division.maps is not None)
    height, width = images.pixels.shape[1:3]
    shown = draw_shown_maps(protocol, replicate, len(split.test), height, width)[: None if tables else 0]
    for k in range(first, len(protocol.budgets)):
        clock = Clock()
        inputs = inputs_of(protocol, k, images, oracle)
        setting = tuner.chosen(declared, k, inputs, oracle, resident, before)
        if setting:
            clock.lap("tune_s")
        protocol = declared.with_setting(setting) if setting else declared
        fitted = fit(protocol, inputs, replicate, k, resident, before)
        clock.lap("train_s")
        examined = task.examine(fitted.learner, split.test, oracle, tables, shown)
        clock.lap("evaluate_s")
        query = np.empty(0, np.int64)
        if k + 1 < len(protocol.budgets):
            regions = Regions(oracle.unlabelled, oracle.owned_at(k), division) if division and division.maps else None
            now = Round(protocol, replicate, k, inputs, fitted, resident, regions)
            n, rng = wanted(protocol, k, oracle), generator(protocol.root_seed, "query", replicate, k)
            with asked(f"strategy {name}, round {k}"):  # whatever is read of a strategy may be code of its own
                members = ensemble(now, strategy)
                clock.lap("members_s")
                view = build_view(now, strategy, members, oracle.disclose)
                clock.lap("features_s")
                ready(now, strategy, name, view)
                clock.lap("prepare_s")
                query = ask(strategy, name, view, n, rng) if n else query
        clock.lap("query_s")
        yield Outcome(k, fitted, examined, query, clock.cost | {"peak_memory_mib": peak_memory_mib()}, setting)
        before = fitted.end
        if k + 1 < len(protocol.budgets):
            oracle.buy(query)


def inputs_of(protocol: Protocol, k: int, images: Images, oracle: Seller) -> FitInputs:
    """What round k trains on: labels bought up to its budget, whatever was bought since."""
    bought = oracle.labels_of(oracle.owned_at(k))
    unlabelled = np.setdiff1d(oracle.pool, bought[0], assume_unique=True)
    return FitInputs.of(images, bought, oracle.validation(), unlabelled, f"protocol {protocol.name}, round {k}")


def wanted(protocol: Protocol, k: int, oracle: Seller | Holdings) -> int:
    """How many units round k asks for: what the next budget pays for; where units differ in cost, at most, and in order of preference."""
    if not protocol.metered:
        return protocol.budgets[k + 1] - protocol.budgets[k]
    return oracle.affordable(protocol.budgets[k + 1])


def ready(now: Round, strategy: Strategy, name: str, view: View) -> None:
    """The strategy's own part, trained."""
    with _blamed(name, view, "to prepare"):
        prepare(now, strategy, view)


def ask(strategy: Strategy, name: str, view: View, n: int, rng: np.random.Generator) -> Indices:
    """The strategy's selection, checked. Raises StrategyError, also where nothing is labelled and the strategy cannot do without."""
    if not len(view.labelled) and not strategy.cold_start:
        where = f"strategy {name}, round {view.round}"
        raise StrategyError(
            Fault(where, "at least one label owned", "none", "start from a labelled set, or with a strategy that can")
        )
    with _blamed(name, view, "a selection"):
        return check_selection(
            strategy.select(view, n, rng), view, n, name
        )  # what it returned may be an object whose methods are its own


@contextmanager
def _blamed(name: str, view: View, expected: str) -> Iterator[None]:
    """Whatever a strategy raises becomes a StrategyError, a wish to end the process, too: it costs its own run, and is kept as its failure."""
    where = f"strategy {name}, round {view.round}"
    try:
        with asked(where):
            yield
    except (StrategyError, KeyboardInterrupt):
        raise
    except BaseException as error:
        found = f"{type(error).__name__}: {error}{line_of(error)}"
        raise StrategyError(
            Fault(where, expected, found, "mend the strategy; the whole traceback is in the record")
        ) from error


class Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self.cost: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Time since the last lap, kept under `name`."""
        now = time.perf_counter()
        self.cost[name], self._last = round(now - self._last, 4), now


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far, plus the device's if there is one."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    device = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_initialized() else 0.0  # type: ignore[no-untyped-call]
    return round(host + device, 1)
