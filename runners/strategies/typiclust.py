"""TypiClust (Hacohen, Dekel & Weinshall 2022, arXiv 2202.02794).

It selects a typical image of each cluster without labels.
"""

from __future__ import annotations

from collections import deque
from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from protocol.draws.splits import Indices
from runners.strategies.base import Strategy
from runners.strategies.support.k_means import k_means
from runners.strategies.view import Need, View

_MOST: Final = 500
"""Largest number of clusters."""
_TOO_SMALL: Final = 5
"""Clusters of this size and below are used only after all larger ones."""
_NEIGHBOURS: Final = 20
_ROWS: Final = 1024


class TypiClust(Strategy):
    """Cluster the pool and select typical images from the largest clusters with the fewest labels.

    There are as many clusters as labels after the query, at most 500. The most typical member of a cluster is the one
    with the smallest mean Euclidean distance to its 20 nearest neighbours in the cluster (to half of the members in
    small clusters). The authors cluster unit vectors of a self-supervised encoder that is never fine-tuned: to
    reproduce them, use a pretrained regime with a probe, and set `normalize`. With embeddings of a classifier trained
    on few labels this is a different method.

    Args:
        normalize: whether to scale embeddings to unit length first, as the authors' code does.
    """

    needs: ClassVar[tuple[Need, ...]] = ("embeddings", "labelled_embeddings")
    paper = "Hacohen et al. 2022, arXiv 2202.02794"
    cost = (
        "O((l + u) c d) per pass of k-means with c = min(l + n, 500) clusters, and O(m² d) for each cluster of m used"
    )
    cold_start = True

    def __init__(self, normalize: bool = False) -> None:
        self.normalize = normalize

    def select(self, view: View, n: int, rng: np.random.Generator) -> Indices:
        """Return the most typical images, cluster after cluster."""
        points = torch.cat([view.embeddings, view.labelled_embeddings])
        points = F.normalize(points.float(), dim=1) if self.normalize else points
        clusters = k_means(points, min(len(view.labelled) + n, _MOST, len(points)), rng)
        pool = points[: len(view.unlabelled)]
        return view.unlabelled[typical(pool, clusters[: len(view.unlabelled)], clusters[len(view.unlabelled) :], n)]


def typical(points: Tensor, clusters: NDArray[np.int64], labelled: NDArray[np.int64], n: int) -> Indices:
    """Return positions of n points, taken from the clusters in turn.

    Clusters with the fewest labels come first, then larger ones; of equals the one with the lowest number.

    Args:
        points: unlabelled points, shape (u, d).
        clusters: their clusters, shape (u,).
        labelled: clusters of the labelled points, shape (l,).
        n: number of points, in 1 ... u.
    """
    count = max(clusters.max(initial=0), labelled.max(initial=0)) + 1
    labels = np.bincount(labelled, minlength=count)
    sizes = np.bincount(clusters, minlength=count) + labels
    order = np.lexsort((np.arange(count), -sizes, labels, sizes <= _TOO_SMALL))
    members = {int(c): np.flatnonzero(clusters == c) for c in order}
    chosen: list[int] = []
    for small in (False, True):
        queue = deque(int(c) for c in order if (sizes[c] <= _TOO_SMALL) == small)
        while queue and len(chosen) < n:
            cluster = queue.popleft()
            if not len(members[cluster]):
                continue
            at = int(spread(points[torch.from_numpy(members[cluster]).to(points.device)]).argmin())
            chosen.append(int(members[cluster][at]))
            members[cluster] = np.delete(members[cluster], at)
            queue.append(cluster)
    return np.asarray(chosen, dtype=np.int64)


def spread(points: Tensor) -> Tensor:
    """Return the mean distance of each of m points to its min(20, m // 2) nearest neighbours, shape (m,).

    Typicality is its inverse (equation 1).
    """
    k = max(1, min(_NEIGHBOURS, len(points) // 2))
    if len(points) == 1:
        return points.new_zeros(1, dtype=torch.float32)
    x = points.float()
    x = x - x.mean(0)
    parts = []
    for start in range(0, len(x), _ROWS):
        distances = torch.cdist(x[start : start + _ROWS], x)
        own = torch.arange(start, start + len(distances), device=x.device)
        distances[torch.arange(len(distances), device=x.device), own] = torch.inf
        parts.append(distances.topk(k, dim=1, largest=False).values.mean(1))
    return torch.cat(parts)
