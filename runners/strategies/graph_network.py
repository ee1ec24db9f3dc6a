"""UncertainGCN and CoreGCN: a graph network tells labelled from unlabelled (Caramalau et al. 2021, arXiv 2006.10219).

The network is trained on the embeddings of the compared classifier; that classifier is never touched.
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
"""The authors' training: full-batch Adam."""


class UncertainGCN(Strategy):
    """Buys the images the graph network takes for unlabelled with a score nearest `margin` (0: surely unlabelled, 1: labelled).

    Args:
        nodes: unlabelled images in the graph, drawn at random each round; at least n, the authors' value is 10,000.
        hidden: width of the hidden layer.
        weight: of the unlabelled images in the loss (the authors' lambda), > 0.
        margin: in [0, 1].
        epochs: full-batch steps of the graph network, >= 1.
    """

    needs: ClassVar[tuple[Need, ...]] = ("embeddings", "labelled_embeddings")
    paper = "Caramalau et al. 2021, arXiv 2006.10219"
    cost = "O((l + v) d h) an epoch, v nodes, h hidden"

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
            Fault(f"graph strategy: {name}", wanted, str(value))
            for name, (value, fine, wanted) in checks.items()
            if not fine
        ]:
            raise InputError(faults)
        self.nodes, self.hidden, self.weight, self.margin, self.epochs = nodes, hidden, weight, margin, epochs

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Trains the graph network, then chooses among its unlabelled nodes."""
        nodes = np.sort(rng.choice(len(view.unlabelled), min(len(view.unlabelled), max(n, self.nodes)), replace=False))
        part = view.embeddings[torch.from_numpy(nodes).to(view.embeddings.device)].float()
        seed = int(rng.integers(2**62))
        trained = train(part, view.labelled_embeddings.float(), self.hidden, self.weight, self.epochs, seed)
        among = View(view.unlabelled[nodes], view.labelled, view.labels, view.classes, view.round)
        return self.choose(among, trained, n, rng)

    def choose(self, among: View, trained: Trained, n: int, rng: np.random.Generator) -> Indices:
        """Scores nearest the margin; ties at random."""
        return top(among, -(trained.scores - self.margin).abs(), n, rng)


class CoreGCN(UncertainGCN):
    """Core-set on the hidden features of the graph network, as in the paper (the authors' code takes the input features).

    Arguments as of uncertain-gcn; margin is not used.
    """

    cost = "O((l + v) d h) an epoch and O((l + n) v h), v nodes, h hidden"

    def choose(self, among: View, trained: Trained, n: int, rng: np.random.Generator) -> Indices:
        """The k-center greedy sequence."""
        return among.unlabelled[k_center_greedy(trained.unlabelled, trained.labelled, n, rng)]


@dataclass(frozen=True, eq=False)
class Trained:
    """What the graph network says.

    Attributes:
        scores: (v,) in [0, 1], how much each unlabelled node looks labelled.
        unlabelled, labelled: (v, h) and (l, h) hidden features.
    """

    scores: Tensor
    unlabelled: Tensor
    labelled: Tensor


class Graph:
    """Adjacency S D^-1 + I with S = X X^T - I of unit rows X and D its row sums, applied without ever forming it.

    X X^T has the rank of X, so applying it takes O(nodes d) memory, not nodes².
    """

    def __init__(self, features: Tensor) -> None:
        self.x = F.normalize(features, dim=1)
        own = (self.x * self.x).sum(1)
        degree = self.x @ self.x.sum(0) - own
        self.share = 1 / degree.clamp(min=1)[:, None]  # a node that is like no other stays with itself

    def __call__(self, h: Tensor) -> Tensor:
        """Adjacency times h, (nodes, any)."""
        shared = self.share * h
        return self.x @ (self.x.T @ shared) - shared + h


def labelling_loss(scores: Tensor, labelled: int, weight: float) -> Tensor:
    """-mean log s over the labelled nodes, which come last, - weight * mean log(1 - s) over the others (equation 6).

    Args:
        scores: (v + l,) logits of s.
    """
    unlabelled = len(scores) - labelled
    return -F.logsigmoid(scores[unlabelled:]).mean() - weight * F.logsigmoid(-scores[:unlabelled]).mean()


def train(unlabelled: Tensor, labelled: Tensor, hidden: int, weight: float, epochs: int, seed: int) -> Trained:
    """Train the two-layer graph network anew and evaluate it.

    Args:
        unlabelled: (v, d), labelled: (l, d) embeddings, l >= 1.
        seed: of weights and dropout.
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
    """Weights within ±1 / sqrt(columns), as Kipf & Welling's layer draws them."""
    return (2 * torch.rand(rows, columns, generator=generator) - 1) / math.sqrt(columns)
