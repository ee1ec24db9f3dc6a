"""Cluster-Margin (Citovsky et al. 2021, arXiv 2107.14263, Algorithm 1).

It selects uncertain images, spread over clusters.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering
from torch import Tensor

from protocol.draws.splits import Indices
from protocol.errors import Fault, InputError
from runners.strategies.base import Strategy, top
from runners.strategies.uncertainty import Margin
from runners.strategies.view import Need, View


class ClusterMargin(Strategy):
    """Cluster the images with the smallest margins and select from the clusters in turn, smallest first.

    The candidates are the `factor` * n images with the smallest margin, at most `most` but at least n. Average-linkage
    clustering keeps a distance for every pair: 8,192 candidates need 256 MiB. The authors cluster the whole pool once.
    Here the network is trained from scratch every round, so the candidates are clustered every round in its new
    embedding.

    Args:
        factor: number of candidates per selected image, >= 1.
        size: mean number of candidates in a cluster, >= 1; it sets the height at which the tree is cut.
        most: largest number of candidates, >= 1.
    """

    needs: ClassVar[tuple[Need, ...]] = ("probabilities", "embeddings")
    paper = "Citovsky et al. 2021, arXiv 2107.14263"
    cost = "O(u k + m² d), m candidates"

    def __init__(self, factor: int = 10, size: int = 10, most: int = 8192) -> None:
        given = {"factor": factor, "size": size, "most": most}
        if faults := [
            Fault(f"cluster-margin: {name}", "an integer >= 1", str(value))
            for name, value in given.items()
            if value < 1
        ]:
            raise InputError(faults)
        self.factor, self.size, self.most = factor, size, most

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return candidates by round robin over the clusters; within a cluster at random."""
        candidates = top(
            view,
            Margin.score(view.probabilities),
            min(len(view.unlabelled), max(n, min(self.factor * n, self.most))),
            rng,
        )
        if len(candidates) == n:
            return candidates
        points = view.embeddings[np.searchsorted(view.unlabelled, candidates)]
        clusters = average_linkage(points, math.ceil(len(candidates) / self.size))
        return candidates[round_robin(clusters, n, rng)]


def average_linkage(points: Tensor, clusters: int) -> NDArray[np.int64]:
    """Return the cluster of each of m points, shape (m,): agglomerative, average linkage, Euclidean.

    Keeps m² / 2 distances.
    """
    if clusters >= len(points):
        return np.arange(len(points), dtype=np.int64)
    fitted = AgglomerativeClustering(n_clusters=clusters, linkage="average").fit(points.float().cpu().numpy())
    labels: NDArray[np.int64] = fitted.labels_.astype(np.int64)
    return labels


def round_robin(clusters: NDArray[np.int64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return positions of n members: one at random per cluster, smallest cluster first.

    This is repeated until there are n.

    Args:
        clusters: number of each member's cluster, shape (m,).
        n: number of members, in 1 ... m.
        rng: generator for the order within clusters and among clusters of equal size.
    """
    shuffled = rng.permutation(len(clusters))
    _, named, sizes = np.unique(clusters[shuffled], return_inverse=True, return_counts=True)
    by_cluster = np.argsort(named, kind="stable")
    turn = np.empty(len(named), np.int64)
    turn[by_cluster] = np.arange(len(named)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    tie = rng.permutation(len(sizes))
    order = np.lexsort((tie[named], sizes[named], turn))
    return shuffled[order[:n]]
