"""BatchBALD (Kirsch, van Amersfoort & Gal 2019, arXiv 1906.08158): most informative batch.

Adding image i to the batch A raises the mutual information between the batch's labels and the classifier by
H(y_i | y_A) - H(y_i | weights). The first term is the entropy of the predictive distribution of i given the labels of
A, averaged over the configurations that those labels can take. A configuration c reweights the draws s of the
classifier by w_cs ∝ ∏_{a ∈ A} p(y_a = c_a | s), so that p(y_i | c) = Σ_s w_cs p(y_i | s): one matrix product for all
configurations.
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
"""Number of probabilities held at once while gains are updated (32 MiB in float64)."""
_FEWEST, _MOST = 16, 512
"""Number of candidates updated at once: at first, and at most."""


class BatchBald(Strategy):
    """Select greedily the batch with the most mutual information with the classifier's weights.

    The weights vary under dropout.

    The gain is exact while all label configurations of the batch fit into `configurations` (for 10 classes and 10,000
    configurations: 4 images). From then on configurations are drawn at random and extended label by label.

    Args:
        samples: number of dropout masks, >= 1.
        dropout: share of the last layer's input to drop, in (0, 1), if the network has no dropout of its own.
        configurations: largest number of label configurations to keep, >= 1.
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
        """Return the greedy sequence, in order; of equals the first."""
        return view.unlabelled[batch_bald(view.mc_samples, n, self.configurations, rng)]


def batch_bald(samples: Tensor, n: int, configurations: int, rng: np.random.Generator) -> Indices:
    """Return positions of n images, chosen greedily; of equals the first.

    Gains never grow with the batch (mutual information is submodular), so an old gain is an upper bound. Only images
    whose old gain exceeds the best updated one are updated. With drawn configurations this holds up to the error of the
    draw.

    Args:
        samples: probabilities, shape (u, s, k); draw s is the same classifier for all images.
        n: number of images, in 1 ... u.
        configurations: largest number of label configurations of the batch to distinguish.
        rng: generator for drawn configurations.
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
        batch = batch.extend(p[pick], configurations, rng)
        _refresh(gains, p, noise, batch)


def _refresh(gains: Tensor, p: Tensor, noise: Tensor, batch: Configurations) -> None:
    """Update gains, highest first, until no old one can be the largest."""
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
    """Label configurations of a batch.

    They hold the weights of the draws given each, (c, s), and their probabilities, (c,).
    """

    def __init__(self, weights: Tensor, probability: Tensor, exact: bool) -> None:
        self.weights, self.probability, self.exact = weights, probability, exact

    @classmethod
    def none(cls, draws: int, device: torch.device) -> Configurations:
        """Return the configurations of the empty batch: one, with equal weights of all draws."""
        weights = torch.full((1, draws), 1 / draws, dtype=torch.float64, device=device)
        return cls(weights, torch.ones(1, dtype=torch.float64, device=device), True)

    def conditional_entropy(self, p: Tensor) -> Tensor:
        """Return the mean over configurations of H(y | configuration), shape (b,), for p of shape (b, s, k)."""
        b, s, k = p.shape
        flat = p.permute(1, 0, 2).reshape(s, b * k)
        out = torch.zeros(b, dtype=torch.float64, device=p.device)
        rows = max(1, _AT_ONCE // (b * k))
        for weights, share in zip(torch.split(self.weights, rows), torch.split(self.probability, rows), strict=True):
            out += share @ entropy((weights @ flat).view(-1, b, k))
        return out

    def extend(self, p: Tensor, most: int, rng: np.random.Generator) -> Configurations:
        """Return the configurations of the batch with one more image, p of shape (s, k).

        Every configuration is extended by every label while they fit into `most`, else by one drawn label.
        """
        c, k = len(self.weights), p.shape[1]
        if self.exact and c * k <= most:
            joint = (self.weights[:, None, :] * p.T[None]).reshape(c * k, -1)  # (c, k, s)
            given = joint.sum(1)
            possible = given > 0
            share = (self.probability[:, None] * given.view(c, k)).flatten()
            return Configurations(joint[possible] / given[possible, None], share[possible], True)
        weights = self.weights
        if self.exact:  # replace all configurations by draws of them
            edges = self.probability.cumsum(0)
            at = torch.from_numpy(rng.random(most)).to(edges.device) * edges[-1]
            weights = weights[torch.searchsorted(edges, at, right=True).clamp(max=c - 1)]
        label = _draw_columns(weights @ p, rng)
        joint = weights * p.T[label]
        equal = torch.full((len(joint),), 1 / len(joint), dtype=torch.float64, device=p.device)
        return Configurations(joint / joint.sum(1, keepdim=True), equal, False)


def _draw_columns(probabilities: Tensor, rng: np.random.Generator) -> Tensor:
    """Draw one column per row of (c, k) by the row's probabilities."""
    edges = probabilities.cumsum(1)
    at = torch.from_numpy(rng.random((len(edges), 1))).to(edges.device) * edges[:, -1:]
    return (edges <= at).sum(1).clamp(max=edges.shape[1] - 1)
