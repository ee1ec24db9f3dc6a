"""Draw from real paired differences: nine strategies on three data sets, 150 seeds each."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from analysis.statistics.arrays import Floats
from analysis.verdict.estimate import Estimate, estimates
from analysis.verdict.pairing import Paired

FILE = Path(__file__).with_name("real_aubc.npz")
"""Areas under published active-learning curves, in units of 1e-5, shape (data sets, strategies, seeds)."""


def populations() -> list[Floats]:
    """Return the 108 populations of differences, each with mean 0."""
    areas = np.load(FILE)["areas"] / 1e5
    pairs = itertools.combinations(range(areas.shape[1]), 2)
    differences = [own[a] - own[b] for own, (a, b) in itertools.product(areas, list(pairs))]
    return [d - d.mean() for d in differences]


def drawn(population: Floats, n: int, studies: int, shift: float, delta: float, seed: int) -> list[Estimate]:
    """Estimate simulated studies of n seeds whose true difference is `shift`, by the default test."""
    rng = np.random.default_rng([seed, n])
    samples = population[rng.integers(0, len(population), (studies, n))] + shift
    pairs = [Paired("p", str(i), tuple(range(n)), d, np.zeros(n)) for i, d in enumerate(samples)]
    return estimates(pairs, "sign-flip", delta, rng)
