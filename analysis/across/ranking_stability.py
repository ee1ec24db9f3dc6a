"""Stability of rankings of strategies: between data sets, between regimes, and between draws of seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.statistics.area import DECIMALS
from analysis.statistics.arrays import Floats


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b between the rankings of two data sets or two regimes.

    Two data sets are compared under one regime, two regimes on one data set.

    tau is in [-1, 1], 1 for the same order, NaN if all strategies tie on one side. `within` is the regime or data set
    that both share.
    """

    between: Literal["data sets", "regimes"]
    within: str
    left: str
    right: str
    tau: float


@dataclass(frozen=True)
class SeedAgreement:
    """Agreement of two studies of n seeds each, drawn without overlap from the seeds of one setting.

    Attributes:
        n: seeds per study.
        tau: mean Kendall's tau-b between their rankings, NaN if all strategies tie in every draw.
        winner_changes: share of draws in which they have different winners, in [0, 1].
        draws: number of random splits.
    """

    protocol: str
    n: int
    tau: float
    winner_changes: float
    draws: int


def kendall(left: ArrayLike, right: ArrayLike) -> Floats:
    """Compute Kendall's tau-b for many pairs of rankings at once, as scipy's kendalltau does for one.

    Args:
        left, right: scores, shape (..., k).

    Returns:
        tau-b, shape (...); NaN if all scores tie on one side.
    """
    a, b = _signs(left), _signs(right)
    with np.errstate(invalid="ignore"):
        return np.asarray((a * b).sum(axis=-1) / np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1)))


def agreement(
    between: Literal["data sets", "regimes"], within: str, names: Sequence[str], scores: Sequence[Floats]
) -> tuple[Agreement, ...]:
    """Compare every pair of the named rankings; each has scores of shape (k,)."""
    pairs = combinations(range(len(names)), 2)
    return tuple(Agreement(between, within, names[i], names[j], float(kendall(scores[i], scores[j]))) for i, j in pairs)


def seed_agreement(
    protocol: str, scores: ArrayLike, rng: np.random.Generator, draws: int = 500
) -> tuple[SeedAgreement, ...]:
    """Estimate how well disjoint draws of n seeds agree, for n = 1 to half of the seeds.

    Args:
        protocol: name for the result.
        scores: one row per seed and one column per strategy, shape (seeds, k).
        rng: generator for the draws.
        draws: number of random splits.

    Returns:
        One row per n; none for fewer than two seeds.
    """
    x = np.asarray(scores, dtype=np.float64)
    rows = []
    for n in range(1, len(x) // 2 + 1):
        order = rng.permuted(np.tile(np.arange(len(x)), (draws, 1)), axis=1)
        first, second = (_membership(order[:, part], len(x)) @ x / n for part in (slice(n), slice(n, 2 * n)))
        tau = kendall(first, second)
        known = tau[np.isfinite(tau)]
        changed = (_winners(first) != _winners(second)).any(axis=1)
        rows.append(
            SeedAgreement(
                protocol, n, float(known.mean()) if len(known) else float("nan"), float(changed.mean()), draws
            )
        )
    return tuple(rows)


def _membership(drawn: NDArray[np.int64], seeds: int) -> Floats:
    member = np.zeros((len(drawn), seeds))
    np.put_along_axis(member, drawn, 1.0, axis=1)
    return member


def _winners(scores: Floats) -> NDArray[np.bool_]:
    rounded = np.round(scores, DECIMALS)
    return np.asarray(rounded == rounded.max(axis=-1, keepdims=True))


def _signs(scores: ArrayLike) -> Floats:
    x = np.round(np.asarray(scores, dtype=np.float64), DECIMALS)
    i, j = np.triu_indices(x.shape[-1], 1)
    return np.asarray(np.sign(x[..., i] - x[..., j]))
