"""Bayesian answers: how probable is "better", "practically equal", "worse", given a region of practical equivalence (ROPE).

Probabilities of the three states after the data, not error rates; they are shown beside the verdicts and decide nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

DRAWS = 20_000


@dataclass(frozen=True)
class Posterior:
    """Probabilities that the difference is below -rope, within ±rope, above rope; they sum to 1."""

    worse: float
    equal: float
    better: float


def signed_rank(differences: ArrayLike, rope: float, rng: np.random.Generator, prior: float = 0.5) -> Posterior:
    """Bayesian signed-rank test (Benavoli et al. 2014, ICML; with ROPE 2017, JMLR 18(77), section 4.2).

    Weights of the differences and of one pseudo-observation at 0 are Dirichlet(prior, 1, ..., 1); each draw has the
    shares of Walsh sums d_i + d_j below -2 rope, between, and above 2 rope; a state's probability is how often
    its share is the largest (ties are split).

    Args:
        differences: shape (n,), finite, n >= 1.
        rope: half width >= 0, in the same units.
        prior: weight of the pseudo-observation, > 0.

    Raises:
        ValueError: rope negative, prior not positive, or differences empty or not finite.
    """
    d = np.asarray(differences, dtype=np.float64)
    if rope < 0 or prior <= 0 or d.ndim != 1 or not len(d) or not np.isfinite(d).all():
        raise ValueError(
            f"expected rope >= 0, prior > 0 and finite differences of shape (n,), found {rope}, {prior}, shape {d.shape}"
        )
    z = np.concatenate([[0.0], d])
    sums = np.round(z[:, None] + z[None, :], 12)
    weights = rng.dirichlet([prior, *np.ones(len(d))], DRAWS)
    below, above = (
        np.einsum("bi,bi->b", weights @ region, weights)
        for region in ((sums < -2 * rope) * 1.0, (sums > 2 * rope) * 1.0)
    )
    shares = np.stack([below, 1 - below - above, above], axis=1).round(12)
    largest = shares == shares.max(axis=1, keepdims=True)
    worse, equal, better = (largest / largest.sum(axis=1, keepdims=True)).mean(axis=0)
    return Posterior(float(worse), float(equal), float(better))


def correlated_t(differences: ArrayLike, rope: float, rho: float) -> Posterior:
    """Posterior of the mean difference under correlated observations (Corani & Benavoli 2015; Nadeau & Bengio 2003).

    Student's t with n - 1 degrees of freedom, centre the mean, squared scale (1/n + rho / (1 - rho)) s^2. At zero
    spread all mass is at the mean.

    Args:
        differences: shape (n,), n >= 2.
        rho: correlation between observations, in [0, 1): 0 for independent seeds, 1/k for k-fold cross-validation.

    Raises:
        ValueError: rho outside [0, 1), rope negative, or n < 2.
    """
    d = np.asarray(differences, dtype=np.float64)
    if not 0 <= rho < 1 or rope < 0 or len(d) < 2:
        raise ValueError(f"expected rho in [0, 1), rope >= 0 and n >= 2, found {rho}, {rope}, n = {len(d)}")
    mean, scale = float(d.mean()), math.sqrt(1 / len(d) + rho / (1 - rho)) * float(d.std(ddof=1))
    if np.ptp(d) == 0:
        return Posterior(float(mean < -rope), float(abs(mean) <= rope), float(mean > rope))
    worse, better = float(stats.t.cdf(-rope, len(d) - 1, mean, scale)), float(stats.t.sf(rope, len(d) - 1, mean, scale))
    return Posterior(worse, 1 - worse - better, better)
