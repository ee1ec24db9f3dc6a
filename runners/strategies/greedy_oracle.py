"""Greedy oracle strategy (Werner et al. 2024, arXiv 2408.00426).

It estimates what a choice of labels can gain.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from runners.guard.errors import StrategyError
from runners.strategies.base import Context, Strategy, top
from runners.strategies.uncertainty import Margin
from runners.strategies.view import Need, View


class GreedyOracle(Strategy):
    """Try batches with their true labels and select the one that helps most.

    It is an oracle strategy, no competitor.

    The batch is chosen part by part. For each part, `trials` random candidates and the choice of margin sampling
    compete. For each candidate a network is trained by the protocol's recipe on the labelled and chosen images and the
    candidate. The candidate with the smallest cross-entropy on other images of the pool wins. Neither validation nor
    test labels are seen. Every disclosure of labels is recorded, and the strategy is excluded from all verdicts. The
    authors try single images and evaluate on test data.

    Args:
        trials: number of random candidates per part, >= 1; the default of the authors' code is 20.
        parts: number of parts of a batch, >= 1, at most n; with n parts images are chosen one by one, as the authors
            do.
        judged: number of pool images, drawn at random each round, that evaluate the candidates, >= 1. They cannot be
            selected in that round; at most half of the images that the batch leaves are used.
    """

    needs: ClassVar[tuple[Need, ...]] = ("probabilities", "pool_labels")
    paper = "Werner et al. 2024, arXiv 2408.00426; oracle strategy, not judged"
    cost = "O(u k) and parts * (trials + 1) trainings"

    def __init__(self, trials: int = 20, parts: int = 1, judged: int = 2000) -> None:
        given = {"trials": trials, "parts": parts, "judged": judged}
        if faults := [
            Fault(f"oracle: {name}", "an integer >= 1", str(value)) for name, value in given.items() if value < 1
        ]:
            raise InputError(faults)
        self.trials, self.parts, self.judged = trials, parts, judged
        self._context: Context | None = None

    def prepare(self, context: Context, generator: torch.Generator) -> None:  # noqa: ARG002  # the contract's
        """Keep the context, which trains candidates."""
        self._context = context

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the batch, part after part."""
        if self._context is None:
            raise StrategyError(
                Fault("strategy oracle", "prepare before select", "no context", "call prepare(context, generator)")
            )
        u = len(view.unlabelled)
        if n == u:
            return view.unlabelled.copy()
        judges = rng.choice(u, min(self.judged, (u - n + 1) // 2), replace=False)
        free = np.setdiff1d(np.arange(u), judges)
        labels = view.pool_labels.cpu().numpy()
        ranked = np.searchsorted(view.unlabelled, top(view, Margin.score(view.probabilities), u, rng))
        chosen = np.empty(0, np.int64)
        for size in np.diff(np.linspace(0, n, min(self.parts, n) + 1).round().astype(int)):
            rest = np.setdiff1d(free, chosen)
            by_margin = ranked[np.isin(ranked, rest)][:size]
            batches = [by_margin, *(rng.choice(rest, size, replace=False) for _ in range(self.trials))]
            losses = [_loss(self._context, view, np.concatenate([chosen, batch]), labels, judges) for batch in batches]
            chosen = np.concatenate([chosen, batches[int(np.argmin(losses))]])
        return view.unlabelled[chosen]


def _loss(context: Context, view: View, batch: Indices, labels: Indices, judges: Indices) -> float:
    """Return the mean cross-entropy on the judging images, in nats, after training with the batch.

    It is infinite if training diverged.
    """
    # negative labels are none of the task's classes: nothing to learn or evaluate
    batch, judges = batch[labels[batch] >= 0], judges[labels[judges] >= 0]
    predict = context.retrained(view.unlabelled[batch], labels[batch])
    likelihood = predict(view.unlabelled[judges]).double().clamp(min=torch.finfo(torch.float32).tiny)
    loss = float(F.nll_loss(likelihood.log(), torch.from_numpy(labels[judges]).to(likelihood.device)))
    return loss if np.isfinite(loss) else np.inf
