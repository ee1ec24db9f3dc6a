"""Compare several strategies on several data sets by ranks.

Tests: Friedman, Iman-Davenport, Nemenyi, and Wilcoxon with Holm against a control. Scores are one number per
(data set, strategy), the mean over seeds, shape (N, k); higher is better. Data sets are the blocks, not seeds: runs on
one data set are not independent data sets. Rank 1 is best; ties share the mean rank.

Post-hoc tests of mean ranks (Nemenyi) depend on which other strategies are compared (Benavoli, Corani & Mangili 2016).
The claim "beats random" therefore uses pairwise Wilcoxon tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analysis.statistics.area import DECIMALS
from analysis.statistics.arrays import Floats
from analysis.statistics.corrections import holm
from analysis.statistics.hypothesis_tests import smallest_p, wilcoxon


@dataclass(frozen=True)
class Friedman:
    """Omnibus tests of "all strategies are equal".

    All p use asymptotic distributions for many blocks, but are never below the smallest p of the permutation test,
    (k!)^(1 - N) without ties: by chance, two strategies rank the same on three data sets one time in four.

    Attributes:
        blocks: Number of data sets, N.
        treatments: Number of strategies, k.
        mean_ranks: Mean rank per strategy, in [1, k].
        chi2, p: Friedman 1937 as in Demsar 2006, without a correction for ties.
        chi2_ties, p_ties: chi2 divided by 1 - sum(t^3 - t) / (N k (k^2 - 1)) over groups of t ties in a block, as in
            scipy.
        f, p_f: Iman & Davenport 1980, from the uncorrected chi2; f is infinite if all blocks have the same ranks.
    """

    blocks: int
    treatments: int
    mean_ranks: tuple[float, ...]
    chi2: float
    p: float
    chi2_ties: float
    p_ties: float
    f: float
    p_f: float


@dataclass(frozen=True)
class AgainstControl:
    """One strategy against the control over data sets.

    Attributes:
        n: Number of data sets.
        wins, ties, losses: Data sets with a higher, equal or lower mean than the control's.
        median_difference: Median over data sets, in the metric's units.
        r_plus, r_minus: Signed-rank sums; see `signed_rank_sums`.
        p: Two-sided Wilcoxon signed-rank test; see `analysis.statistics.hypothesis_tests.wilcoxon`.
        p_adjusted: p corrected by Holm over the strategies.
        smallest_p: Smallest raw p that n data sets can give.
    """

    strategy: str
    n: int
    wins: int
    ties: int
    losses: int
    median_difference: float
    r_plus: float
    r_minus: float
    p: float
    p_adjusted: float
    smallest_p: float


def ranks(scores: ArrayLike) -> Floats:
    """Rank strategies within each data set: 1 for the highest score, ties averaged.

    Args:
        scores: Shape (N, k), higher is better.

    Returns:
        Shape (N, k), in [1, k].

    >>> ranks([[0.8, 0.9, 0.8]]).tolist()
    [[2.5, 1.0, 2.5]]
    """
    return np.asarray(stats.rankdata(-_scores(scores, least=1), axis=1), dtype=np.float64)


def friedman(scores: ArrayLike) -> Friedman:
    """Compute Friedman's test and Iman & Davenport's F.

    chi2 = 12 N / (k (k + 1)) (sum_j R_j^2 - k (k + 1)^2 / 4); F = (N - 1) chi2 / (N (k - 1) - chi2) on k - 1 and
    (k - 1)(N - 1) degrees of freedom (Demsar 2006, section 3.2.2). If all scores tie, chi2 = 0 and p = 1.

    Args:
        scores: Shape (N, k), higher is better.

    Raises:
        ValueError: N < 2 or k < 2, or a score is not finite.

    >>> result = friedman([[3, 2, 1], [3, 1, 2], [3, 2, 1], [3, 2, 1]])
    >>> result.mean_ranks, result.chi2  # 4 (1^2 + 2.25^2 + 2.75^2 - 12)
    ((1.0, 2.25, 2.75), 6.5)
    """
    x = _scores(scores, least=2)
    n, k = x.shape
    placed = ranks(x)
    mean = placed.mean(axis=0)
    chi2 = max(0.0, float(12 * n / (k * (k + 1)) * ((mean**2).sum() - k * (k + 1) ** 2 / 4)))
    ties = [np.unique(row, return_counts=True)[1] for row in placed]
    least = _least(k, ties)
    groups = sum(int((t**3 - t).sum()) for t in ties)
    share = 1 - groups / (n * k * (k**2 - 1))
    chi2_ties = chi2 / share if share > 1e-12 else 0.0
    rest = n * (k - 1) - chi2
    f = (n - 1) * chi2 / rest if rest > 1e-9 else float("inf")
    return Friedman(
        blocks=n,
        treatments=k,
        mean_ranks=tuple(float(r) for r in mean),
        chi2=chi2,
        p=max(least, float(stats.chi2.sf(chi2, k - 1))),
        chi2_ties=chi2_ties,
        p_ties=max(least, float(stats.chi2.sf(chi2_ties, k - 1))),
        f=f,
        p_f=max(least, float(stats.f.sf(f, k - 1, (k - 1) * (n - 1)))),
    )


def _least(k: int, ties: Sequence[NDArray[np.int64]]) -> float:
    """Return the smallest p of the permutation test, given the ties of each block.

    Renaming the strategies in all blocks at once changes no statistic, so that one block's permutations do not count.
    """
    ways = [math.lgamma(k + 1) - sum(math.lgamma(t + 1) for t in counts) for counts in ties]
    return math.exp(max(ways) - sum(ways))


def critical_difference(k: int, n: int, alpha: float = 0.05) -> float:
    """Compute Nemenyi's critical difference: mean ranks further apart differ at level alpha.

    CD = q sqrt(k (k + 1) / (6 n)), where q is the studentized range quantile for infinite degrees of freedom divided by
    sqrt 2.

    Args:
        k: Number of strategies.
        n: Number of data sets.
        alpha: Family-wise level over all pairs.

    >>> round(critical_difference(4, 14), 2)  # 2.569 sqrt(4 * 5 / (6 * 14)), as in Demsar 2006
    1.25
    """
    q = float(stats.studentized_range.ppf(1 - alpha, k, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(k * (k + 1) / (6 * n)))


def nemenyi(scores: ArrayLike) -> Floats:
    """Compute Nemenyi's p for every pair of strategies.

    It controls the family-wise error over all pairs.

    Args:
        scores: Shape (N, k), higher is better.

    Returns:
        Shape (k, k), symmetric, 1 on the diagonal.

    Raises:
        ValueError: N < 2 or k < 2, or a score is not finite.

    >>> nemenyi([[3, 2, 1], [3, 1, 2], [3, 2, 1], [3, 2, 1]]).round(2).tolist()[0]  # mean ranks 1, 2.25, 2.75
    [1.0, 0.18, 0.04]
    """
    x = _scores(scores, least=2)
    n, k = x.shape
    mean = ranks(x).mean(axis=0)
    q = np.abs(mean[:, None] - mean[None, :]) / np.sqrt(k * (k + 1) / (6 * n)) * np.sqrt(2)
    p = np.ones((k, k))
    upper = np.triu_indices(k, 1)
    p[upper] = stats.studentized_range.sf(q[upper], k, np.inf)
    return np.minimum(p, p.T)


def signed_rank_sums(differences: ArrayLike) -> tuple[float, float]:
    """Compute R+ and R-, the sums of the ranks of |d| over positive and negative d.

    The ranks of zeros are split evenly between the two sums; if their number is odd, one zero is left out
    (Demsar 2006, section 3.1.3).

    >>> signed_rank_sums([1, -2, 3])  # ranks 1 + 3, and 2
    (4.0, 2.0)
    """
    d = np.asarray(differences, dtype=np.float64)
    zeros = np.flatnonzero(d == 0)
    d = np.delete(d, zeros[:1]) if len(zeros) % 2 else d
    placed = stats.rankdata(np.abs(d))
    half = float(placed[d == 0].sum()) / 2
    return float(placed[d > 0].sum()) + half, float(placed[d < 0].sum()) + half


def against_control(scores: ArrayLike, names: Sequence[str], control: str) -> tuple[AgainstControl, ...]:
    """Compare every strategy with the control by Wilcoxon's test over data sets, with Holm.

    Args:
        scores: Shape (N, k), one column per name, higher is better.
        names: Names of the k strategies.
        control: One of the names.

    Returns:
        One result per strategy other than the control, in the order of `names`.

    Raises:
        ValueError: The number of names is not k, the control is not among them, or a score is not finite.

    >>> rows = against_control([[3, 2, 1], [3, 1, 2], [3, 2, 1], [3, 2, 1]], ["a", "b", "random"], "random")
    >>> [(row.strategy, row.wins, row.p, row.p_adjusted) for row in rows]
    [('a', 4, 0.125, 0.25), ('b', 3, 0.625, 0.625)]
    """
    x = _scores(scores, least=1)
    if len(names) != x.shape[1] or control not in names:
        raise ValueError(f"expected {x.shape[1]} names with {control!r} among them, found {list(names)}")
    base = x[:, list(names).index(control)]
    differences = {name: np.round(x[:, j] - base, DECIMALS) for j, name in enumerate(names) if name != control}
    raw = [wilcoxon(d).p for d in differences.values()]
    rows = []
    for (name, d), p, adjusted in zip(differences.items(), raw, holm(raw), strict=True):
        plus, minus = signed_rank_sums(d)
        counts = int((d > 0).sum()), int((d == 0).sum()), int((d < 0).sum())
        rows.append(
            AgainstControl(
                name, len(d), *counts, float(np.median(d)), plus, minus, p, float(adjusted), smallest_p(len(d))
            )
        )
    return tuple(rows)


def cliques(alike: NDArray[np.bool_]) -> tuple[tuple[int, ...], ...]:
    """Return the maximal groups of two or more strategies in which no pair is distinguishable.

    Maximal cliques by Bron & Kerbosch (1973) with pivot.

    Args:
        alike: Shape (k, k), symmetric: True where a pair is not distinguishable.

    Returns:
        Groups of column indices, sorted.

    >>> cliques(np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=bool))
    ((0, 1), (1, 2))
    """
    near = [set(np.flatnonzero(row).tolist()) - {i} for i, row in enumerate(alike)]
    groups: list[tuple[int, ...]] = []

    def grow(group: set[int], open_: set[int], closed: set[int]) -> None:
        if not open_ and not closed:
            groups.append(tuple(sorted(group)))
            return
        pivot = max(open_ | closed, key=lambda v: len(near[v] & open_))
        for v in sorted(open_ - near[pivot]):
            grow(group | {v}, open_ & near[v], closed & near[v])
            open_, closed = open_ - {v}, closed | {v}

    grow(set(), set(range(len(near))), set())
    return tuple(sorted(g for g in groups if len(g) > 1))


def _scores(scores: ArrayLike, least: int) -> Floats:
    """Check for shape (N, k) and finite values; round so that equal means tie."""
    x = np.asarray(scores, dtype=np.float64)
    if x.ndim != 2 or x.shape[0] < least or x.shape[1] < 2 or not np.isfinite(x).all():
        raise ValueError(
            f"expected finite scores (N, k) of at least {least} data sets and 2 strategies, found shape {x.shape}"
        )
    return np.round(x, DECIMALS)
