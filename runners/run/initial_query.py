"""Starting sets that strategies choose themselves, where the protocol lets them (`splits.initial = "strategy"`).

A strategy can if it declares `cold_start` and needs no more than images and embeddings. Before the first training these are
the embeddings of a pretrained body, of frozen features, or else of the network with its initial weights, which know little.
For random, and for strategies that cannot, the seed draws the start, the same for all of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from protocol.draws.seeds import generator
from protocol.draws.splits import Indices
from protocol.oracle.oracle import Seller
from protocol.spec.protocol import Protocol
from protocol.spec.study import BASELINE, StrategySpec
from runners.datasets import Images
from runners.features.round import Round
from runners.features.view_of_round import build_view
from runners.guard.audit_hook import asked
from runners.loop import ask, ready
from runners.regimes import Fit, FitInputs, Resident, untrained_learner
from runners.strategies import Strategy
from runners.strategies.view import UNTRAINED
from runners.tasks import TASKS

START: Final = -1
"""Number of the round that comes before the first."""


def chooses(protocol: Protocol, spec: StrategySpec, strategy: Strategy) -> bool:
    """Whether the strategy chooses its own starting set under the protocol."""
    return (
        protocol.splits.initial == "strategy"
        and spec.name != BASELINE
        and bool(strategy.cold_start)
        and set(strategy.needs) <= set(UNTRAINED)
    )


def own_start(
    protocol: Protocol,
    spec: StrategySpec,
    strategy: Strategy,
    replicate: int,
    images: Images,
    oracle: Seller,
    resident: Resident,
) -> Indices | None:
    """The starting set that the strategy chooses, in its order; None where the seed draws it, or where it is bought already.

    Raises:
        StrategyError: as for a query.
    """
    if len(oracle.owned):
        return None
    with asked(f"strategy {spec.id}, its start"):
        return (
            _chosen(protocol, spec, strategy, replicate, images, oracle, resident)
            if chooses(protocol, spec, strategy)
            else None
        )


def _chosen(
    protocol: Protocol,
    spec: StrategySpec,
    strategy: Strategy,
    replicate: int,
    images: Images,
    oracle: Seller,
    resident: Resident,
) -> Indices:
    strategy = TASKS[protocol.task].adapt_or_refuse(strategy, spec.id)
    nothing = np.empty(0, np.int64)
    labels = nothing if protocol.task == "classification" else np.empty((0, images.height, images.width), np.uint8)
    inputs = FitInputs(images, nothing, labels, nothing, labels, oracle.pool)
    learner = untrained_learner(protocol, images, oracle.pool, replicate, resident)
    now = Round(protocol, replicate, START, inputs, Fit(learner, 0, "", ""), resident)
    view = build_view(now, strategy, [learner], oracle.disclose)
    ready(now, strategy, spec.id, view)
    return ask(
        strategy, spec.id, view, protocol.training_labels[0], generator(protocol.root_seed, "query", replicate, "start")
    )
