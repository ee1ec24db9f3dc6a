"""Looking before the end without paying for it in false alarms: group-sequential tests with declared alpha spending.

At each planned look a share of alpha is spent; boundaries follow from the joint normal distribution of the looks.
A comparison has reached a look when every one of its first seeds is paired; later seeds wait for the next look.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import optimize, stats

Spending = Literal["obrien-fleming", "pocock"]
LEAST, MOST = 1e-7, 0.5
"""Sequential p-values below LEAST are given as LEAST, above MOST as 1."""


def alpha_spent(share: float, spending: Spending, alpha: float) -> float:
    """Two-sided alpha spent when `share` in (0, 1] of the seeds are in (Lan & DeMets 1983, each side at alpha / 2)."""
    if spending == "pocock":
        return alpha * math.log(1 + (math.e - 1) * share)
    return float(4 * stats.norm.sf(stats.norm.isf(alpha / 4) / math.sqrt(share)))


@functools.lru_cache(maxsize=4096)
def nominal_levels(looks: tuple[int, ...], spending: Spending, alpha: float) -> tuple[float, ...]:
    """Two-sided p at or below which each look rejects, for normal statistics with independent increments.

    Armitage, McPherson & Rowe (1969): the density of the running sum between the boundaries is carried from look to
    look by Gauss-Legendre quadrature, and each boundary is solved for the alpha that is spent there.
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


def sequential_p(p_values: Sequence[float], looks: tuple[int, ...], spending: Spending) -> float:
    """Smallest alpha with which one of the looks so far would have rejected (Liu & Anderson 2008); 1 before the first look.

    A valid p-value at whatever look it is read, so that Holm applies to it as to any other.
    """
    return min([1.0, *(_inverted(p, place, looks, spending) for place, p in enumerate(p_values))])


def _inverted(p: float, place: int, looks: tuple[int, ...], spending: Spending) -> float:
    def gap(log_alpha: float) -> float:
        return math.log(max(nominal_levels(looks, spending, math.exp(log_alpha))[place], 1e-300)) - math.log(p)

    if gap(math.log(MOST)) < 0:
        return 1.0
    if gap(math.log(LEAST)) >= 0:
        return LEAST
    return math.exp(float(optimize.brentq(gap, math.log(LEAST), math.log(MOST), xtol=1e-6)))


def describe_looks(looks: tuple[int, ...], spending: Spending, alpha: float) -> str:
    """The looks and their nominal levels in a sentence."""
    levels = ", ".join(
        f"{level:.4f} at {n}" for n, level in zip(looks, nominal_levels(looks, spending, alpha), strict=True)
    )
    name = {"obrien-fleming": "O'Brien-Fleming", "pocock": "Pocock"}[spending]
    return f"Looks with alpha {alpha:.3g} spent as {name} type (Lan & DeMets): a single test rejects at p up to {levels} seeds."
