"""BatchBALD (Kirsch, van Amersfoort & Gal 2019, arXiv 1906.08158): the most informative batch, not the n most informative images.

The mutual information between a batch's labels and the classifier grows with image i, given the batch A so far, by
H(y_i | y_A) - H(y_i | weights). The first term is the mean entropy of the predictive distribution of i once the labels
of A are known, over the configurations those labels can take. A configuration c reweights the draws s of the classifier by
w_cs ∝ ∏_{a ∈ A} p(y_a = c_a | s), so that p(y_i | c) = Σ_s w_cs p(y_i | s): one matrix product for all configurations.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from runners.strategies.base import Estimation, Strategy
from runners.strategies.uncertainty import entropy
from runners.strategies.view import Need, View

_AT_ONCE = 2**22
"""Probabilities held at once while gains are refreshed (32 MiB in float64)."""
_FEWEST, _MOST = 16, 512
"""Candidates refreshed at a time."""


class BatchBald(Strategy):
    """Greedy batch of the largest joint mutual information with the classifier's weights, under dropout.

    Exact while all label configurations of the batch fit into `configurations` (at 10 classes and 10,000: 4 images);
    from then on so many configurations are drawn, and grown label by label.

    Args: samples, the number of dropout masks; dropout, the share dropped before the last layer where the network
    has no dropout of its own; configurations >= 1.
    """

    needs: ClassVar[tuple[Need, ...]] = ("mc_samples",)
    paper = "Kirsch et al. 2019, arXiv 1906.08158"
    cost = "O(u s k + n c s k), c configurations; lazily, each pick refreshes few images"

    def __init__(self, samples: int = 20, dropout: float = 0.5, configurations: int = 10_000) -> None:
        if configurations < 1:
            raise InputError(Fault("strategy argument configurations", "at least 1", str(configurations)))
        self.estimation = Estimation(samples=samples, dropout=dropout)
        self.configurations = configurations

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """The greedy sequence, in order; of equals the first."""
        return view.unlabelled[batch_bald(view.mc_samples, n, self.configurations, rng)]


def batch_bald(samples: Tensor, n: int, configurations: int, rng: np.random.Generator) -> Indices:
    """Positions of n images, greedily; the gains of the exact part are exact, so its sequence is the greedy one.

    Gains never grow while the batch does (mutual information is submodular), so an old gain is an upper bound and only
    images whose old gain is above the best fresh one are refreshed. With drawn configurations that holds up to the error
    of the draw.

    Args:
        samples: (u, s, k) probabilities, each draw s the same classifier for all images.
        configurations: most label configurations of the batch that are told apart.
    """
    p = samples.double()
    noise = entropy(p).mean(1)
    gains = entropy(p.mean(1)) - noise
    batch = Configurations.none(p.shape[1], p.device)
    chosen: list[int] = []
    while True:
        pick = int(gains.argmax())
        chosen.append(pick)
        gains[pick] = -torch.inf
        if len(chosen) == n:
            return np.asarray(chosen, dtype=np.int64)
        batch = batch.grown(p[pick], configurations, rng)
        _refresh(gains, p, noise, batch)


def _refresh(gains: Tensor, p: Tensor, noise: Tensor, batch: Configurations) -> None:
    """Bring gains up to date, highest first, until none that is old can be the largest."""
    best = -torch.inf
    size = _FEWEST
    order = gains.argsort(descending=True, stable=True)
    start = 0
    while start < len(order) and float(gains[order[start]]) >= best and torch.isfinite(gains[order[start]]):
        part = order[start : start + size]
        part = part[torch.isfinite(gains[part])]
        gains[part] = batch.conditional_entropy(p[part]) - noise[part]
        best = max(best, float(gains[part].max()))
        start += size
        size = min(2 * size, _MOST)


class Configurations:
    """Label configurations of the batch so far: (c, s) weights of the draws given each, and (c,) their probabilities."""

    def __init__(self, weights: Tensor, probability: Tensor, exact: bool) -> None:
        self.weights, self.probability, self.exact = weights, probability, exact

    @classmethod
    def none(cls, draws: int, device: torch.device) -> Configurations:
        """The empty batch: one configuration, all draws alike."""
        weights = torch.full((1, draws), 1 / draws, dtype=torch.float64, device=device)
        return cls(weights, torch.ones(1, dtype=torch.float64, device=device), True)

    def conditional_entropy(self, p: Tensor) -> Tensor:
        """(b,) mean over configurations of H(y | configuration) for b images, p (b, s, k)."""
        b, s, k = p.shape
        flat = p.permute(1, 0, 2).reshape(s, b * k)
        out = torch.zeros(b, dtype=torch.float64, device=p.device)
        rows = max(1, _AT_ONCE // (b * k))
        for weights, share in zip(torch.split(self.weights, rows), torch.split(self.probability, rows), strict=True):
            out += share @ entropy((weights @ flat).view(-1, b, k))
        return out

    def grown(self, p: Tensor, most: int, rng: np.random.Generator) -> Configurations:
        """With one more image in the batch, p (s, k): every label for every configuration, or one label drawn for each."""
        c, k = len(self.weights), p.shape[1]
        if self.exact and c * k <= most:
            joint = (self.weights[:, None, :] * p.T[None]).reshape(c * k, -1)  # (c, k, s)
            given = joint.sum(1)
            possible = given > 0
            share = (self.probability[:, None] * given.view(c, k)).flatten()
            return Configurations(joint[possible] / given[possible, None], share[possible], True)
        weights = self.weights
        if self.exact:  # from all of them to draws of them
            edges = self.probability.cumsum(0)
            at = torch.from_numpy(rng.random(most)).to(edges.device) * edges[-1]
            weights = weights[torch.searchsorted(edges, at, right=True).clamp(max=c - 1)]
        label = _drawn(weights @ p, rng)
        joint = weights * p.T[label]
        equal = torch.full((len(joint),), 1 / len(joint), dtype=torch.float64, device=p.device)
        return Configurations(joint / joint.sum(1, keepdim=True), equal, False)


def _drawn(probabilities: Tensor, rng: np.random.Generator) -> Tensor:
    """One column a row of (c, k), drawn by the row's probabilities."""
    edges = probabilities.cumsum(1)
    at = torch.from_numpy(rng.random((len(edges), 1))).to(edges.device) * edges[:, -1:]
    return (edges <= at).sum(1).clamp(max=edges.shape[1] - 1)
