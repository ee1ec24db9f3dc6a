"""Compute posterior probabilities of better, practically equal and worse.

Equal means within a region of practical equivalence (ROPE).

These are probabilities given the data, not error rates. They are reported next to the verdicts and never change one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.arrays import Floats
from analysis.statistics.hypothesis_tests import t_tail

DRAWS = 20_000
PARTS = 20


@dataclass(frozen=True)
class Posterior:
    """Probabilities that the difference is below -rope, within ±rope, above rope; they sum to 1."""

    worse: float
    equal: float
    better: float


def dirichlet_weights(n: int, rng: np.random.Generator, prior: float = 0.5) -> list[Floats]:
    """Draw Dirichlet(prior, 1, ..., 1) weights, in parts of shape (n + 1, draws) that fit the processor's cache.

    Comparisons of equally many differences may share them, since each posterior is computed alone.

    >>> parts = dirichlet_weights(2, np.random.default_rng(0))
    >>> parts[0].shape, bool(np.allclose(parts[0].sum(axis=0), 1))
    ((3, 1000), True)
    """
    drawn = rng.dirichlet([prior, *np.ones(n)], DRAWS)
    return [np.ascontiguousarray(part.T) for part in np.array_split(drawn, PARTS)]


def signed_rank(
    differences: ArrayLike,
    rope: float,
    rng: np.random.Generator,
    prior: float = 0.5,
    weights: Sequence[Floats] | None = None,
) -> Posterior:
    """Compute the Bayesian signed-rank test.

    References: Benavoli et al. 2014, ICML; with ROPE 2017, JMLR 18(77), section 4.2.

    The weights of the differences and of one pseudo-observation at 0 are Dirichlet(prior, 1, ..., 1). Each draw gives
    the weighted shares of Walsh sums d_i + d_j below -2 rope, between, and above 2 rope. The probability of a state is
    how often its share is the largest of the three (ties are split).

    Args:
        differences: Strategy minus baseline, shape (n,), finite, n >= 1.
        rope: Half width of the region of practical equivalence, >= 0, in the same units.
        rng: Source of the Dirichlet draws.
        prior: Weight of the pseudo-observation, > 0.
        weights: Draws of `dirichlet_weights` to use instead of new ones.

    Raises:
        ValueError: `rope` is negative, `prior` is not positive, or differences are empty or not finite.

    >>> posterior = signed_rank([0.02, 0.03, 0.01], 0.0, np.random.default_rng(0))
    >>> posterior.worse, posterior.better > 0.95  # no difference is negative
    (0.0, True)
    """
    d = np.asarray(differences, dtype=np.float64)
    if rope < 0 or prior <= 0 or d.ndim != 1 or not len(d) or not np.isfinite(d).all():
        raise ValueError(
            f"expected rope >= 0, prior > 0 and finite differences (n,), found {rope}, {prior}, shape {d.shape}"
        )
    z = np.concatenate([[0.0], d])
    order = np.argsort(z, kind="stable")
    sums = np.round(z[order][:, None] + z[order][None, :], 12)
    weights = dirichlet_weights(len(d), rng, prior) if weights is None else weights
    parts = [_shares(part[order], sums, rope) for part in weights]
    shares = np.concatenate(parts, axis=1).T.round(12)
    largest = shares == shares.max(axis=1, keepdims=True)
    worse, equal, better = (largest / largest.sum(axis=1, keepdims=True)).mean(axis=0)
    return Posterior(float(worse), float(equal), float(better))


def _shares(weights: Floats, sums: Floats, rope: float) -> Floats:
    """Return the weighted shares of Walsh sums below, within and above the region, shape (3, draws).

    Rows of `sums` increase, and so do its columns. So the sums beyond a bound are a staircase, and cumulative weights
    replace a product of matrices, shape (n + 1, draws).
    """
    before = np.zeros((len(weights) + 1, weights.shape[1]))
    for i, row in enumerate(weights):  # several times faster than cumsum over the first axis
        np.add(before[i], row, out=before[i + 1])
    low, high = (sums < -2 * rope).sum(axis=1), (sums <= 2 * rope).sum(axis=1)
    below = np.einsum("id,id->d", weights, before[low])
    above = before[-1] ** 2 - np.einsum("id,id->d", weights, before[high])
    return np.stack([below, 1 - below - above, above])


def correlated_t(differences: ArrayLike, rope: float, rho: float) -> Posterior:
    """Compute the posterior of the mean of correlated differences.

    References: Corani & Benavoli 2015; Nadeau & Bengio 2003.

    It is Student's t with n - 1 degrees of freedom, centred at the mean, with squared scale
    (1/n + rho / (1 - rho)) s^2. If all differences are equal, all mass is at the mean.

    Args:
        differences: Strategy minus baseline, shape (n,), n >= 2.
        rope: Half width of the region of practical equivalence, >= 0, in the same units.
        rho: Correlation between observations, in [0, 1): 0 for independent seeds, 1/k for k-fold cross-validation.

    Raises:
        ValueError: `rho` is outside [0, 1), `rope` is negative, or n < 2.

    >>> round(correlated_t([1, 2, 3], 2.0, 0.0).better, 3)  # the mean is 2, so half of the mass lies above
    0.5
    """
    d = np.asarray(differences, dtype=np.float64)
    if not 0 <= rho < 1 or rope < 0 or len(d) < 2:
        raise ValueError(f"expected rho in [0, 1), rope >= 0 and n >= 2, found {rho}, {rope}, n = {len(d)}")
    mean, scale = float(d.mean()), math.sqrt(1 / len(d) + rho / (1 - rho)) * float(d.std(ddof=1))
    if np.ptp(d) == 0:
        return Posterior(float(mean < -rope), float(abs(mean) <= rope), float(mean > rope))
    worse, better = (t_tail((rope + side * mean) / scale, len(d) - 1) for side in (1, -1))
    return Posterior(worse, 1 - worse - better, better)
