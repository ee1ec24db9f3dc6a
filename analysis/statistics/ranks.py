"""Several strategies on several data sets: ranks, Friedman, Iman-Davenport, Nemenyi, and Wilcoxon + Holm against a control.

Scores are one number per (data set, strategy), the mean over seeds, shape (N, k), higher is better. Data sets are the
blocks, never seeds: runs on one data set are not independent data sets. Rank 1 is best; ties share the mean rank.

Mean-rank post-hocs (Nemenyi) depend on which other strategies are in the pool (Benavoli, Corani & Mangili 2016); the
claim "beats random" therefore rests on pairwise Wilcoxon tests.
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
    """Omnibus tests of "all strategies are alike".

    Attributes:
        mean_ranks: per strategy, in [1, k].
        chi2, p: Friedman 1937 as in Demsar 2006, without a correction for ties.
        chi2_ties, p_ties: divided by 1 - sum(t^3 - t) / (N k (k^2 - 1)) over groups of t ties in a block, as scipy reports it.
        f, p_f: Iman & Davenport 1980 from the uncorrected chi2; infinite if all blocks rank alike.

    All p are of distributions for many blocks, but never below the share of the ways to rank within blocks that agree as well as
    blocks can, (k!)^(1 - N) without ties: two strategies rank alike on three data sets by chance one time in four.
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
        n: data sets.
        wins, ties, losses: data sets with a higher, equal or lower mean than the control's.
        median_difference: over data sets, in the metric's units.
        r_plus, r_minus: signed-rank sums; the ranks of zero differences go to both in halves, one zero of an odd number
            being left out (Demsar 2006, section 3.1.3).
        p: two-sided Wilcoxon signed-rank test; zeros dropped, exact where `analysis.statistics.hypothesis_tests.wilcoxon` is.
        p_adjusted: Holm over the strategies.
        smallest_p: smallest raw p that n data sets can give.
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
    """Ranks within each data set, shape (N, k): 1 for the highest score, ties averaged."""
    return np.asarray(stats.rankdata(-_scores(scores, least=1), axis=1), dtype=np.float64)


def friedman(scores: ArrayLike) -> Friedman:
    """Friedman's test and Iman & Davenport's F for scores (N, k).

    chi2 = 12 N / (k (k + 1)) (sum_j R_j^2 - k (k + 1)^2 / 4); F = (N - 1) chi2 / (N (k - 1) - chi2) on k - 1 and
    (k - 1)(N - 1) degrees of freedom (Demsar 2006, section 3.2.2). Ties everywhere: 0, p = 1.

    Raises:
        ValueError: N < 2 or k < 2, or a score is not finite.
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
    """No permutation of ranks within blocks has a smaller p: renaming the strategies in all blocks at once changes no statistic.

    Args:
        ties: of each block, how many strategies share each of its ranks.
    """
    ways = [math.lgamma(k + 1) - sum(math.lgamma(t + 1) for t in counts) for counts in ties]
    return math.exp(max(ways) - sum(ways))


def critical_difference(k: int, n: int, alpha: float = 0.05) -> float:
    """Nemenyi's CD: mean ranks of k strategies over n data sets that lie further apart differ at level alpha.

    CD = q sqrt(k (k + 1) / (6 n)), q the studentized range quantile over infinite degrees divided by sqrt 2.
    """
    q = float(stats.studentized_range.ppf(1 - alpha, k, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(k * (k + 1) / (6 * n)))


def nemenyi(scores: ArrayLike) -> Floats:
    """Nemenyi's p for every pair of strategies, shape (k, k), 1 on the diagonal; family-wise error is controlled over all pairs.

    Raises:
        ValueError: as `friedman`.
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
    """R+ and R-: sums of the ranks of |d| over positive and negative d, zeros split in halves (Demsar 2006, section 3.1.3).

    Of an odd number of zeros one is left out.
    """
    d = np.asarray(differences, dtype=np.float64)
    zeros = np.flatnonzero(d == 0)
    d = np.delete(d, zeros[:1]) if len(zeros) % 2 else d
    placed = stats.rankdata(np.abs(d))
    half = float(placed[d == 0].sum()) / 2
    return float(placed[d > 0].sum()) + half, float(placed[d < 0].sum()) + half


def against_control(scores: ArrayLike, names: Sequence[str], control: str) -> tuple[AgainstControl, ...]:
    """Wilcoxon signed-rank test of every strategy against the control over data sets, Holm over the strategies.

    Args:
        scores: (N, k), a column per name.
        control: one of the names.

    Raises:
        ValueError: names do not fit the scores, the control is not among them, or a score is not finite.
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
    """Largest groups of two or more strategies of which every pair is alike (Bron & Kerbosch 1973, with pivot), sorted.

    Args:
        alike: (k, k), symmetric: True where a pair is not told apart.
    """
    near = [set(np.flatnonzero(row).tolist()) - {i} for i, row in enumerate(alike)]
    found: list[tuple[int, ...]] = []

    def grow(group: set[int], open_: set[int], closed: set[int]) -> None:
        if not open_ and not closed:
            found.append(tuple(sorted(group)))
            return
        pivot = max(open_ | closed, key=lambda v: len(near[v] & open_))
        for v in sorted(open_ - near[pivot]):
            grow(group | {v}, open_ & near[v], closed & near[v])
            open_, closed = open_ - {v}, closed | {v}

    grow(set(), set(range(len(near))), set())
    return tuple(sorted(g for g in found if len(g) > 1))


def _scores(scores: ArrayLike, least: int) -> Floats:
    """(N, k), finite, rounded so that equal means tie."""
    x = np.asarray(scores, dtype=np.float64)
    if x.ndim != 2 or x.shape[0] < least or x.shape[1] < 2 or not np.isfinite(x).all():
        raise ValueError(
            f"expected finite scores (N, k) of at least {least} data sets and 2 strategies, found shape {x.shape}"
        )
    return np.round(x, DECIMALS)
