"""Test at planned interim looks and keep the type-I error at alpha (group-sequential tests).

At each planned look a share of alpha is spent. Boundaries follow from the joint normal distribution of the looks.
A comparison has reached a look when all of its first n seeds are paired; later seeds wait for the next look.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import optimize, special, stats

Spending = Literal["obrien-fleming", "pocock"]
STUDIES = 100_000
"""Simulated studies behind `levels_at_looks`."""
SIMULATED = 1e-3
"""Smallest alpha that the simulation resolves."""
SEED = 1983
LEAST, MOST = 1e-7, 0.5
"""Sequential p-values below LEAST are reported as LEAST, above MOST as 1."""


def alpha_spent(share: float, spending: Spending, alpha: float) -> float:
    """Return the two-sided alpha spent when a share of the seeds has been analysed.

    Spending functions of Lan & DeMets (1983), each side at alpha / 2. Pocock type: alpha log(1 + (e - 1) share).
    O'Brien-Fleming type: 4 (1 - Phi(z / sqrt(share))) with z the normal quantile at 1 - alpha / 4.

    Args:
        share: Seeds analysed over seeds planned, in (0, 1].
        spending: "pocock" or "obrien-fleming".
        alpha: Level of the whole test, in (0, 1).

    >>> round(alpha_spent(0.5, "pocock", 0.05), 4)  # 0.05 log(1.859)
    0.031
    >>> round(alpha_spent(1.0, "obrien-fleming", 0.05), 4)  # all of it at the end
    0.05
    """
    if spending == "pocock":
        return alpha * math.log(1 + (math.e - 1) * share)
    return float(4 * stats.norm.sf(stats.norm.isf(alpha / 4) / math.sqrt(share)))


@functools.lru_cache(maxsize=4096)
def nominal_levels(looks: tuple[int, ...], spending: Spending, alpha: float) -> tuple[float, ...]:
    """Compute the two-sided p at or below which each look rejects.

    For normal statistics with independent increments (Armitage, McPherson & Rowe 1969): the density of the running sum
    between the boundaries is carried from look to look by Gauss-Legendre quadrature, and each boundary is solved for
    the alpha that is spent there.

    Args:
        looks: Seeds at each look, increasing; the last is the planned number.
        spending: "pocock" or "obrien-fleming".
        alpha: Level of the whole test.

    Returns:
        One level per look. With one look it is alpha.

    >>> [round(level, 4) for level in nominal_levels((5, 10), "pocock", 0.05)]
    [0.031, 0.0277]
    >>> [round(level, 4) for level in nominal_levels((10,), "pocock", 0.05)]
    [0.05]
    """
    nodes, weights = np.polynomial.legendre.leggauss(129)
    shares = [n / looks[-1] for n in looks]
    levels: list[float] = []
    x, mass, before, gone = np.zeros(1), np.ones(1), 0.0, 0.0
    for share in shares:
        step, left = math.sqrt(share - before), alpha_spent(share, spending, alpha) - gone

        def beyond(b: float, x: np.ndarray = x, mass: np.ndarray = mass, step: float = step) -> float:
            return float(mass @ (stats.norm.sf((b - x) / step) + stats.norm.cdf((-b - x) / step)))

        bound = float(
            optimize.brentq(lambda b, beyond=beyond, left=left: beyond(b) - left, 0.0, 12.0 * math.sqrt(share))
        )
        levels.append(float(2 * stats.norm.sf(bound / math.sqrt(share))))
        y = nodes * bound
        mass = weights * bound * (stats.norm.pdf((y[:, None] - x) / step) / step @ mass)
        x, before, gone = y, share, gone + left
    return tuple(levels)


@functools.lru_cache(maxsize=4096)
def levels_at_looks(looks: tuple[int, ...], spending: Spending, alpha: float) -> tuple[float, ...]:
    """Compute the two-sided p at or below which each look of a t test of few seeds rejects.

    t statistics of successive looks are less correlated than normal ones, because each estimates the spread. With the
    levels of `nominal_levels`, four Pocock looks at 3 to 12 seeds reject .055 where .05 is promised. Here each level is
    the quantile of simulated t tests that have not been rejected before: never above the normal one, and never below
    the alpha spent at the look, which the union bound allows (it is the level for alpha below 0.001).

    Args:
        looks: Seeds at each look, increasing, >= 2.
        spending: "pocock" or "obrien-fleming".
        alpha: Level of the whole test.

    >>> nominal, used = nominal_levels((5, 10), "pocock", 0.05), levels_at_looks((5, 10), "pocock", 0.05)
    >>> used[0] == nominal[0], 0.019 < used[1] < nominal[1]
    (True, True)
    """
    normal = nominal_levels(looks, spending, alpha)
    levels, before, p = [normal[0]], alpha_spent(looks[0] / looks[-1], spending, alpha), _simulated_p(looks)
    alive = p[:, 0] > normal[0]
    for place in range(1, len(looks)):
        spent = alpha_spent(looks[place] / looks[-1], spending, alpha)
        share, before = spent - before, spent
        level = share
        if alpha >= SIMULATED:
            left = p[alive, place]
            count = int(share * len(p))
            level = float(np.partition(left, count)[count]) if count < len(left) else 1.0
        levels.append(min(normal[place], max(level, share)))
        alive &= p[:, place] > levels[-1]
    return tuple(levels)


@functools.lru_cache(maxsize=8)
def _simulated_p(looks: tuple[int, ...]) -> np.ndarray:
    """Simulate two-sided p of t tests without a difference at each look, shape (studies, looks)."""
    rng = np.random.default_rng([SEED, *looks])
    total, squares, before, out = np.zeros(STUDIES), np.zeros(STUDIES), 0, []
    for n in looks:
        new = n - before
        added = rng.normal(0, math.sqrt(new), STUDIES)
        squares = squares + added**2 / new + (rng.chisquare(new - 1, STUDIES) if new > 1 else 0.0)
        total, before = total + added, n
        t = total / np.sqrt(n * np.maximum(squares - total**2 / n, 1e-300) / (n - 1))
        out.append(2 * special.stdtr(n - 1, -np.abs(t)))
    return np.stack(out, axis=1)


def sequential_p(p_values: Sequence[float], looks: tuple[int, ...], spending: Spending) -> float:
    """Return the smallest alpha at which one of the looks so far would have rejected.

    Reference: Liu & Anderson 2008.

    It is a valid p-value at any look, so that Holm applies to it.

    Args:
        p_values: Two-sided p at each look reached so far.
        looks: Seeds at each planned look, increasing.
        spending: "pocock" or "obrien-fleming".

    Returns:
        In [LEAST, 1]; 1 before the first look.

    >>> round(sequential_p([0.031], (5, 10), "pocock"), 3)  # the first look's level at alpha = 0.05 is 0.031
    0.05
    >>> sequential_p([], (5, 10), "pocock")
    1.0
    """
    return min([1.0, *(_inverted(p, place, looks, spending) for place, p in enumerate(p_values))])


def _inverted(p: float, place: int, looks: tuple[int, ...], spending: Spending) -> float:
    def gap(log_alpha: float) -> float:
        return math.log(max(levels_at_looks(looks, spending, math.exp(log_alpha))[place], 1e-300)) - math.log(p)

    if gap(math.log(MOST)) < 0:
        return 1.0
    if gap(math.log(LEAST)) >= 0:
        return LEAST
    return math.exp(float(optimize.brentq(gap, math.log(LEAST), math.log(MOST), xtol=1e-6)))


def describe_looks(looks: tuple[int, ...], spending: Spending, alpha: float) -> str:
    """Describe the looks and their nominal levels in one sentence.

    >>> describe_looks((5, 10), "pocock", 0.05).split(": ")[1]
    'a single test rejects at p up to 0.0310 at 5, 0.0253 at 10 seeds.'
    """
    levels = ", ".join(
        f"{level:.4f} at {n}" for n, level in zip(looks, levels_at_looks(looks, spending, alpha), strict=True)
    )
    name = {"obrien-fleming": "O'Brien-Fleming", "pocock": "Pocock"}[spending]
    spent = f"Looks with alpha {alpha:.3g} spent as {name} type (Lan & DeMets)"
    return f"{spent}: a single test rejects at p up to {levels} seeds."
