"""Adjust the p of all pairs of k strategies, using that equality is transitive (Garcia & Herrera 2008)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.area import DECIMALS
from analysis.statistics.arrays import Floats
from analysis.statistics.corrections import holm
from analysis.statistics.hypothesis_tests import wilcoxon

MOST = 9
"""Strategies up to which all partitions are listed (21 147 for nine)."""


@dataclass(frozen=True)
class PairOfStrategies:
    """p of one pair, raw and corrected over all pairs; bergmann_hommel is None for more than `MOST` strategies."""

    first: str
    second: str
    p: float
    holm: float
    shaffer: float
    bergmann_hommel: float | None


def compare_all_pairs(scores: ArrayLike, names: Sequence[str]) -> tuple[PairOfStrategies, ...]:
    """Compare all pairs by Wilcoxon's test over data sets.

    Args:
        scores: Shape (N, k), one row per data set.
        names: Names of the k strategies.

    >>> compare_all_pairs([[1, 2], [1, 3], [1, 4]], ["a", "b"])[0].shaffer  # 2 of 8 signs
    0.25
    """
    x = np.asarray(scores, dtype=np.float64)
    places = list(itertools.combinations(range(len(names)), 2))
    p = [wilcoxon(np.round(x[:, i] - x[:, j], DECIMALS)).p for i, j in places]
    exact = bergmann_hommel(p, len(names)).tolist() if len(names) <= MOST else [None] * len(p)
    rows = zip(places, p, holm(p), shaffer(p, len(names)), exact, strict=True)
    return tuple(PairOfStrategies(names[i], names[j], q, float(h), float(s), b) for (i, j), q, h, s, b in rows)


def shaffer(p_values: ArrayLike, k: int) -> Floats:
    """Adjust the p of all pairs by Shaffer's static procedure (1986), which never exceeds Holm.

    Args:
        p_values: p of the pairs (0, 1), (0, 2), ..., (k-2, k-1), shape (k (k - 1) / 2,).
        k: Number of strategies.

    >>> shaffer([0.01, 0.02, 0.03], 3).tolist()  # once one pair differs, at most one pair of three can be equal
    [0.03, 0.03, 0.03]
    """
    p = np.asarray(p_values, dtype=np.float64)
    possible, m = _possible_numbers(k), len(p)
    factors = [max(s for s in possible if s <= m - i) for i in range(m)]
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(np.array(factors) * p[order]))
    return adjusted


def bergmann_hommel(p_values: ArrayLike, k: int) -> Floats:
    """Adjust the p of all pairs by Bergmann & Hommel's procedure (1988), which never exceeds Shaffer's.

    Args:
        p_values: p of the pairs, as in `shaffer`.
        k: Number of strategies, at most `MOST`.

    Raises:
        ValueError: k is larger than `MOST`.

    >>> bergmann_hommel([0.01, 0.02, 0.03], 3).tolist()
    [0.03, 0.03, 0.03]
    """
    if k > MOST:
        raise ValueError(f"expected at most {MOST} strategies, found {k}; use shaffer")
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = p.copy()
    for groups in _partitions(k):
        equal = np.array([groups[i] == groups[j] for i, j in itertools.combinations(range(k), 2)])
        if equal.any():
            adjusted[equal] = np.maximum(adjusted[equal], equal.sum() * p[equal].min())
    return np.minimum(adjusted, 1.0)


def _possible_numbers(k: int) -> set[int]:
    """Return how many pairs of k strategies can be equal at once."""
    numbers = [{0}, {0}]
    for size in range(2, k + 1):
        numbers.append({j * (j - 1) // 2 + s for j in range(1, size + 1) for s in numbers[size - j]})
    return numbers[k]


def _partitions(k: int) -> Iterator[tuple[int, ...]]:
    """Yield the group of each strategy, for every way to partition k strategies."""

    def grow(groups: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(groups) == k:
            yield groups
            return
        for group in range(max(groups, default=-1) + 2):
            yield from grow((*groups, group))

    yield from grow(())
