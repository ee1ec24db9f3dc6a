"""k-means for strategies that cluster the pool."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

_FEW: Final = 50
_BATCH: Final = 5000


def k_means(points: Tensor, clusters: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(n,) cluster numbers of (n, d) points; in mini-batches of 5,000 beyond 50 clusters, as the authors of TypiClust do.

    Equal points share a cluster, so that there may be fewer clusters than asked for.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans  # slow to import, so only where it is used
    from sklearn.exceptions import ConvergenceWarning

    seed = int(rng.integers(2**31))
    x = points.float().cpu().numpy()
    if clusters <= _FEW:
        model = KMeans(clusters, n_init=1, random_state=seed)
    else:
        model = MiniBatchKMeans(clusters, n_init=1, batch_size=_BATCH, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters
        numbers: NDArray[np.int64] = model.fit_predict(x).astype(np.int64)
    return numbers
