"""Simulate how many seeds a study needs, from a pilot's paired differences.

This covers tests that have no power formula. Studies are drawn from a normal distribution with the pilot's spread (for
whole curves, its covariance along the budget) around an assumed true difference. The pilot's own mean is never used:
that would be "observed power". A small pilot estimates the spread badly; with 3 seeds the true sd may be half as large
or several times as large.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.loading.curves import Curves
from analysis.statistics.arrays import Floats
from analysis.statistics.hypothesis_tests import ENUMERATED, half_sign_patterns, random_bits
from analysis.statistics.inversion import STRICTNESS
from analysis.statistics.power import WANTED, least_seeds_equivalence, seeds_to_detect, seeds_to_reject
from analysis.verdict.pairing import paired_curves, paired_endpoints
from analysis.verdict.plan import PlanSummary

Simulated = Literal["sign-flip", "max-t", "equivalence"]
RESAMPLES = 1_000
PATTERNS = 2_000
"""Largest number of sign patterns; all simulated studies share them."""
MOST = 64
"""The search for a number of seeds stops here."""
BLOCK = 100
LEAST = 3
"""Fewest pairs from which a spread is estimated."""


SEED = 1935
"""Seed of the simulation, unless a generator is given."""


@dataclass(frozen=True)
class Power:
    """Share of simulated studies that decide, with its Monte Carlo standard error."""

    n: int
    power: float
    standard_error: float


@dataclass(frozen=True)
class Seeds:
    """Fewest seeds that give 80 % power for one comparison; None beyond `MOST`.

    Attributes:
        n: Number of seeds in the pilot.
        sd: Standard deviation of the pilot's paired difference in area under the budget curve.
        t: Seeds for the paired t test, by formula, at a true difference of delta.
        sign_flip: Seeds for the sign-flip test, simulated, at a true difference of delta.
        max_t: Seeds for the whole-curve test, simulated, at a true difference of delta at every budget at which the
            pilot's differences vary (at the first budget all strategies are equal by design).
        equivalence: Seeds to show equivalence by the sign-flip test, simulated, at a true difference of 0.
    """

    protocol: str
    strategy: str
    n: int
    sd: float
    t: int | None
    sign_flip: int | None
    max_t: int | None
    equivalence: int | None


def simulated_power(
    test: Simulated,
    pilot: ArrayLike,
    delta: float,
    n: int,
    alpha: float,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Power:
    """Simulate the power of a study of n seeds.

    Args:
        test: "sign-flip" and "equivalence" take differences in area, "max-t" whole difference curves.
        pilot: Paired differences, shape (seeds,) or (seeds, budgets), seeds >= 2, finite.
        delta: True difference to detect (sign-flip; max-t: at every budget), or the margin, at a true difference of 0
            (equivalence).
        n: Seeds of the simulated study.
        alpha: Level of the single test, in (0, 1); under Holm over m tests, alpha / m is the strictest step.
        rng: Source of the simulated studies.
        resamples: Number of simulated studies.

    Raises:
        ValueError: The pilot has a wrong shape, or a value is not finite.
    """
    d = np.asarray(pilot, float)
    d = d[:, None] if d.ndim == 1 else d
    if d.ndim != 2 or len(d) < 2 or not np.isfinite(d).all() or (test != "max-t" and d.shape[1] != 1):
        raise ValueError(
            f"expected at least 2 finite differences (curves for max-t only), found shape {np.shape(pilot)}"
        )
    varies = d.std(axis=0) > 0
    if varies.any():  # at the first budget all strategies are equal by design: there is nothing to detect
        d = d[:, varies]
    root = np.linalg.svd(d - d.mean(axis=0), full_matrices=False)
    spread = root.S[:, None] * root.Vh / np.sqrt(len(d) - 1)  # rows whose Gram matrix is the pilot's covariance
    centre = 0.0 if test == "equivalence" else delta
    decided = 0
    for start in range(0, resamples, BLOCK):
        size = min(BLOCK, resamples - start)
        drawn = centre + rng.standard_normal((size, n, len(spread))) @ spread
        shown = _equivalent(drawn, delta, alpha, rng) if test == "equivalence" else _flips(drawn, rng) <= alpha
        decided += int(shown.sum())
    share = decided / resamples
    return Power(n, share, float(np.sqrt(max(share * (1 - share), 1 / resamples) / resamples)))


def _equivalent(drawn: Floats, delta: float, alpha: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return in which studies the sign-flip test shows the mean to lie within the margin, on both sides."""
    twin = copy.deepcopy(rng)
    two_sided = np.maximum(_flips(drawn + delta, twin), _flips(drawn - delta, rng))
    shown: NDArray[np.bool_] = (np.abs(drawn[..., 0].mean(axis=1)) < delta) & (STRICTNESS * two_sided / 2 <= alpha)
    return shown


def _flips(drawn: Floats, rng: np.random.Generator) -> Floats:
    """Return the two-sided p of the sign-flip test of the largest |studentised sum| in each study."""
    n = drawn.shape[1]
    enumerated = n <= ENUMERATED and 2 ** (n - 1) <= PATTERNS
    signs = half_sign_patterns(n) if enumerated else 2 * random_bits(PATTERNS, n, rng) - 1
    norm = np.sqrt((drawn**2).sum(axis=1, keepdims=True))
    scaled = np.divide(drawn, norm, out=np.zeros_like(drawn), where=norm > 0)
    observed = np.abs(scaled.sum(axis=1)).max(axis=1)
    flipped = np.abs(np.einsum("fn,rnt->frt", signs, scaled, optimize=True)).max(axis=2)
    hits = (flipped >= observed - 1e-9).sum(axis=0)
    p: Floats = hits / len(signs) if enumerated else (1 + hits) / (1 + len(signs))
    return p


def seeds_by_simulation(
    test: Simulated,
    pilot: ArrayLike,
    delta: float,
    alpha: float,
    rng: np.random.Generator,
    power: float = WANTED,
    resamples: int = RESAMPLES,
) -> int | None:
    """Return the fewest seeds with the given power, by bisection over simulated studies.

    It is None beyond `MOST`. The arguments are those of `simulated_power`.
    """
    fewest = least_seeds_equivalence if test == "equivalence" else seeds_to_reject
    low = fewest(1, alpha) - 1  # fewer can never decide
    high = MOST
    if low >= high or simulated_power(test, pilot, delta, high, alpha, rng, resamples).power < power:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = middle > 1 and simulated_power(test, pilot, delta, middle, alpha, rng, resamples).power >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def seeds_of_pair(
    protocol: str,
    strategy: str,
    areas: ArrayLike,
    curves: ArrayLike,
    delta: float,
    alpha: float,
    rng: np.random.Generator,
) -> Seeds:
    """Compute the seeds that one comparison needs, for each of the four tests.

    Args:
        protocol: Name of the protocol.
        strategy: Name of the strategy.
        areas: Paired differences in area under the budget curve, shape (seeds,).
        curves: Paired differences at each budget, shape (seeds, budgets).
        delta: True difference to detect, and margin of equivalence.
        alpha: Level of the strictest step, alpha / tests of the planned study.
        rng: Source of the simulated studies.
    """
    sd = float(np.std(np.asarray(areas, float), ddof=1))
    return Seeds(
        protocol,
        strategy,
        len(np.asarray(areas)),
        sd,
        seeds_to_detect(sd, delta, alpha),
        seeds_by_simulation("sign-flip", areas, delta, alpha, rng),
        seeds_by_simulation("max-t", curves, delta, alpha, rng),
        seeds_by_simulation("equivalence", areas, delta, alpha, rng),
    )


def seeds_from_pilot(pilot: Curves, summary: PlanSummary, rng: np.random.Generator | None = None) -> list[Seeds]:
    """Compute the seeds that a planned study needs, per comparison of a pilot.

    Comparisons with fewer than 3 complete pairs are left out.

    Args:
        pilot: Curves of an earlier, smaller study.
        summary: `plan_summary` of the planned study, which gives the margin delta and the level alpha / tests.
        rng: Source of the simulation; by default a fixed seed, so that the same pilot gives the same numbers.
    """
    generator = np.random.default_rng(SEED) if rng is None else rng
    alpha = summary.alpha / max(summary.tests, 1)
    needed = []
    for pair in paired_endpoints(pilot):
        if len(pair.differences) >= LEAST:
            along = paired_curves(pilot, pair.protocol, pair.strategy).to_numpy()
            needed.append(
                seeds_of_pair(pair.protocol, pair.strategy, pair.differences, along, summary.delta, alpha, generator)
            )
    return needed
