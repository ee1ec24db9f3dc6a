"""Initial sets that strategies choose themselves (`splits.initial = "strategy"`).

A strategy can choose if it declares `cold_start` and needs only images and embeddings. Before the first training,
embeddings come from a pretrained body, from frozen features, or else from the network with its initial weights, which
are little use. For random, and for strategies that cannot choose, the seed draws the initial set, the same for all.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from protocol.draws.seeds import generator
from protocol.draws.splits import Indices
from protocol.spec.protocol import Protocol
from protocol.spec.study import BASELINE, StrategySpec
from runners.confine.declared import Declared
from runners.features.round import Round
from runners.features.view_of_round import build_view
from runners.loop import prepare_strategy, select
from runners.regimes import Fit, FitInputs, untrained_learner
from runners.session import Session
from runners.strategies import Strategy
from runners.strategies.view import UNTRAINED
from runners.tasks import TASKS

START: Final = -1
"""Number of the round that precedes the first."""


def chooses(protocol: Protocol, spec: StrategySpec, strategy: Strategy | Declared) -> bool:
    """Return whether the strategy chooses its own initial set under the protocol."""
    return (
        protocol.splits.initial == "strategy"
        and spec.name != BASELINE
        and bool(strategy.cold_start)
        and set(strategy.needs) <= set(UNTRAINED)
    )


def initial_query(session: Session, spec: StrategySpec, strategy: Strategy) -> Indices | None:
    """Return the initial set that the strategy chooses, in its order.

    Returns `None` if the seed draws the initial set, or if it is bought already.

    Raises:
        StrategyError: as for a query.
    """
    if len(session.oracle.labelled):
        return None
    with strategy.in_round():
        return _select(session, strategy) if chooses(session.protocol, spec, strategy) else None


def _select(session: Session, strategy: Strategy) -> Indices:
    protocol, images, oracle, name = session.protocol, session.images, session.oracle, session.strategy
    strategy = TASKS[protocol.task].adapt_or_refuse(strategy, name)
    nothing = np.empty(0, np.int64)
    labels = nothing if protocol.task == "classification" else np.empty((0, images.height, images.width), np.uint8)
    inputs = FitInputs(images, nothing, labels, nothing, labels, oracle.pool)
    learner = untrained_learner(protocol, images, oracle.pool, session.seed, session.resident)
    now = Round(protocol, session.seed, START, inputs, Fit(learner, 0, "", ""), session.resident)
    view = build_view(now, strategy, [learner], oracle.disclose)
    prepare_strategy(now, strategy, name, view)
    rng = generator(protocol.root_seed, "query", session.seed, "start")
    return select(strategy, name, view, protocol.training_labels[0], rng)
