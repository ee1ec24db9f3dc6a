"""UncertainGCN and CoreGCN (Caramalau et al. 2021, arXiv 2006.10219).

A graph network separates labelled from unlabelled images. The graph network is trained on the embeddings of the
evaluated classifier, which stays unchanged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from runners.strategies.base import Strategy, top
from runners.strategies.core_set import k_center_greedy
from runners.strategies.view import Need, View

RATE, DECAY, DROPOUT = 1e-3, 5e-4, 0.3
"""Learning rate, weight decay and dropout of the authors' training, full-batch Adam."""


class UncertainGCN(Strategy):
    """Select the images whose score by the graph network is nearest to `margin`.

    The score is the network's estimate that an image is labelled: 0 is surely unlabelled, 1 surely labelled.

    Args:
        nodes: number of unlabelled images in the graph, drawn at random each round, at least n; the authors use 10,000.
        hidden: width of the hidden layer, >= 1.
        weight: weight of the unlabelled images in the loss (the authors' lambda), > 0.
        margin: score to select around, in [0, 1].
        epochs: number of full-batch steps of the graph network, >= 1.
    """

    needs: ClassVar[tuple[Need, ...]] = ("embeddings", "labelled_embeddings")
    paper = "Caramalau et al. 2021, arXiv 2006.10219"
    cost = "O((l + v) d h) per epoch, v nodes, h hidden"

    def __init__(
        self, nodes: int = 10_000, hidden: int = 128, weight: float = 1.2, margin: float = 0.1, epochs: int = 200
    ) -> None:
        checks = {
            "nodes": (nodes, nodes >= 1, "an integer >= 1"),
            "hidden": (hidden, hidden >= 1, "an integer >= 1"),
            "weight": (weight, weight > 0, "a number > 0"),
            "margin": (margin, 0 <= margin <= 1, "a number in [0, 1]"),
            "epochs": (epochs, epochs >= 1, "an integer >= 1"),
        }
        if faults := [
            Fault(f"graph strategy: {name}", expected, str(value))
            for name, (value, fine, expected) in checks.items()
            if not fine
        ]:
            raise InputError(faults)
        self.nodes, self.hidden, self.weight, self.margin, self.epochs = nodes, hidden, weight, margin, epochs

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Train the graph network, then select among its unlabelled nodes."""
        nodes = np.sort(rng.choice(len(view.unlabelled), min(len(view.unlabelled), max(n, self.nodes)), replace=False))
        part = view.embeddings[torch.from_numpy(nodes).to(view.embeddings.device)].float()
        seed = int(rng.integers(2**62))
        trained = train(part, view.labelled_embeddings.float(), self.hidden, self.weight, self.epochs, seed)
        among = View(view.unlabelled[nodes], view.labelled, view.labels, view.classes, view.round)
        return self.choose(among, trained, n, rng)

    def choose(self, among: View, trained: Trained, n: int, rng: np.random.Generator) -> Indices:
        """Return the images with scores nearest to the margin; break ties at random."""
        return top(among, -(trained.scores - self.margin).abs(), n, rng)


class CoreGCN(UncertainGCN):
    """Select by core-set on the hidden features of the graph network.

    This follows the paper; the authors' code uses the input features. Arguments are those of uncertain-gcn, except that
    `margin` has no effect.
    """

    cost = "O((l + v) d h) per epoch and O((l + n) v h), v nodes, h hidden"

    def choose(self, among: View, trained: Trained, n: int, rng: np.random.Generator) -> Indices:
        """Return the k-center greedy sequence."""
        return among.unlabelled[k_center_greedy(trained.unlabelled, trained.labelled, n, rng)]


@dataclass(frozen=True, eq=False)
class Trained:
    """Output of the trained graph network.

    Attributes:
        scores: estimate that each unlabelled node is labelled, shape (v,), in [0, 1].
        unlabelled, labelled: hidden features, shapes (v, h) and (l, h).
    """

    scores: Tensor
    unlabelled: Tensor
    labelled: Tensor


class Graph:
    """Adjacency S D^-1 + I, applied without ever forming it.

    S = X X^T - I has unit rows X, and D holds its row sums.

    X X^T has the rank of X, so applying it takes O(nodes d) memory, not nodes².
    """

    def __init__(self, features: Tensor) -> None:
        self.x = F.normalize(features, dim=1)
        own = (self.x * self.x).sum(1)
        degree = self.x @ self.x.sum(0) - own
        self.share = 1 / degree.clamp(min=1)[:, None]  # a node without similar nodes keeps its own features

    def __call__(self, h: Tensor) -> Tensor:
        """Return the adjacency matrix times h, shape (nodes, any)."""
        shared = self.share * h
        return self.x @ (self.x.T @ shared) - shared + h


def labelling_loss(scores: Tensor, labelled: int, weight: float) -> Tensor:
    """Compute the loss of separating labelled from unlabelled nodes (equation 6).

    It is -mean log s over labelled nodes - weight * mean log(1 - s) over unlabelled ones.

    Args:
        scores: logits of s, shape (v + l,), labelled nodes last.
        labelled: number of labelled nodes l.
        weight: weight of the unlabelled nodes.
    """
    unlabelled = len(scores) - labelled
    return -F.logsigmoid(scores[unlabelled:]).mean() - weight * F.logsigmoid(-scores[:unlabelled]).mean()


def train(unlabelled: Tensor, labelled: Tensor, hidden: int, weight: float, epochs: int, seed: int) -> Trained:
    """Train the two-layer graph network from scratch and evaluate it.

    Args:
        unlabelled, labelled: embeddings, shapes (v, d) and (l, d), l >= 1.
        hidden: width of the hidden layer.
        weight: weight of the unlabelled nodes in the loss.
        epochs: number of full-batch steps.
        seed: seed of initial weights and dropout.
    """
    generator = torch.Generator().manual_seed(seed)
    graph = Graph(torch.cat([unlabelled, labelled]))
    spread = graph(graph.x)  # constant, so that an epoch costs one product with the first weights
    device = spread.device
    first = _uniform(spread.shape[1], hidden, generator).to(device)
    second = _uniform(hidden, 1, generator).to(device)
    biases = [torch.zeros(hidden, device=device), torch.zeros(1, device=device)]
    parameters = [first, second, *biases]
    for parameter in parameters:
        parameter.requires_grad_()
    update = torch.optim.Adam(parameters, lr=RATE, weight_decay=DECAY)
    for _ in range(epochs):
        features = (spread @ first + biases[0]).relu()
        kept = (torch.rand(features.shape, generator=generator) >= DROPOUT).to(device) / (1 - DROPOUT)
        logits = (graph(features * kept @ second) + biases[1])[:, 0]
        update.zero_grad()
        torch.autograd.backward(labelling_loss(logits, len(labelled), weight))
        update.step()
    with torch.no_grad():
        features = (spread @ first + biases[0]).relu()
        scores = (graph(features @ second) + biases[1])[:, 0].sigmoid()
    return Trained(scores[: len(unlabelled)], features[: len(unlabelled)], features[len(unlabelled) :])


def _uniform(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Draw weights within ±1 / sqrt(columns), as in Kipf & Welling's layer."""
    return (2 * torch.rand(rows, columns, generator=generator) - 1) / math.sqrt(columns)
