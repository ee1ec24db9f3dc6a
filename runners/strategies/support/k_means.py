"""k-means for strategies that cluster the pool."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

_FEW: Final = 50
_BATCH: Final = 5000
_SEEDED_FROM: Final = 3 * _BATCH
"""Number of points from which the first centres are drawn, scikit-learn's default."""


def k_means(points: Tensor, clusters: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Cluster points by k-means.

    More than 50 clusters are found in mini-batches of 5,000, as the authors of TypiClust do.

    For mini-batches the first centres are drawn by k-means++ as published (Arthur & Vassilvitskii 2007, one candidate
    per centre) and in float64. scikit-learn's own seeding tries 8 candidates and converts its float32 points for each,
    which takes most of the time.

    Args:
        points: points, shape (n, d).
        clusters: number of clusters. Equal points share a cluster, so there may be fewer.
        rng: generator for the seed of the algorithm.

    Returns:
        The cluster of each point, shape (n,).
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans, kmeans_plusplus  # slow to import, so only where it is used
    from sklearn.exceptions import ConvergenceWarning

    seed = int(rng.integers(2**31))
    x = points.float().cpu().numpy()
    if clusters <= _FEW:
        model = KMeans(clusters, n_init=1, random_state=seed)
    else:
        sample = x if len(x) <= _SEEDED_FROM else x[rng.choice(len(x), _SEEDED_FROM, replace=False)]
        centres, _ = kmeans_plusplus(sample.astype(np.float64), clusters, random_state=seed, n_local_trials=1)
        model = MiniBatchKMeans(
            clusters, init=centres.astype(np.float32), n_init=1, batch_size=_BATCH, random_state=seed
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters
        numbers: NDArray[np.int64] = model.fit_predict(x).astype(np.int64)
    return numbers
