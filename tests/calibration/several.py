"""Procedures on several data sets, and bootstrap intervals.

For tests n is the number of data sets, for intervals the number of seeds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from analysis.across.collect import LEAST_RUNS
from analysis.across.labels_saved import labels_saved
from analysis.across.levers import levers
from analysis.across.setting import Setting
from analysis.statistics.aggregates import iqm, probability_of_improvement
from analysis.statistics.area import aubc
from analysis.statistics.bootstrap import Method, Resampler
from analysis.statistics.ranks import against_control, friedman, nemenyi
from tests.calibration.procedures import ALPHA, Event, cover, error
from tests.calibration.worlds import BUDGETS, area_sd, curves

DATASETS, STRATEGIES, RESAMPLES = 5, 6, 1000
GAIN = 0.5
"""True gain in standard deviations of the paired difference."""


def scores(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw means of equally good strategies over n data sets of different levels, shape (n, k)."""
    return rng.normal(size=(n, 1)) + rng.normal(size=(n, STRATEGIES))


def control(n: int, rng: np.random.Generator) -> bool:
    names = [f"s{i}" for i in range(STRATEGIES)]
    return any(row.p_adjusted <= ALPHA for row in against_control(scores(n, rng), names, "s0"))


SEVERAL = (
    error("Friedman, chi2", lambda n, rng: friedman(scores(n, rng)).p <= ALPHA, default=True),
    error("Iman-Davenport, F", lambda n, rng: friedman(scores(n, rng)).p_f <= ALPHA, default=True),
    error("Nemenyi, any pair", lambda n, rng: bool((nemenyi(scores(n, rng)) <= ALPHA).any()), default=True, cost=2),
    error("Wilcoxon + Holm against a control, any", control, default=True, cost=2),
)


def drawn(rng: np.random.Generator, method: Method) -> Resampler:
    return Resampler(np.random.default_rng(rng.integers(2**32)), RESAMPLES, method=method)


def areas(n: int, rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Draw AUBCs of a strategy and the baseline on every data set, shape (n,) each."""
    made = [aubc(BUDGETS, curves(n, 2, rng)) for _ in range(DATASETS)]
    return [ours + GAIN * area_sd() for ours, _ in made], [theirs for _, theirs in made]


def iqm_covers(method: Method) -> Event:
    def event(n: int, rng: np.random.Generator) -> bool:
        ours, theirs = areas(n, rng)
        found = iqm([x - y for x, y in zip(ours, theirs, strict=True)], drawn(rng, method))
        return bool(found.low <= GAIN * area_sd() <= found.high)

    return event


def improvement_covers(method: Method, *, paired: bool) -> Event:
    truth = float(stats.norm.cdf(GAIN if paired else GAIN / np.sqrt(2)))

    def event(n: int, rng: np.random.Generator) -> bool:
        found = probability_of_improvement(*areas(n, rng), drawn(rng, method), paired=paired)
        return bool(found.low - 1e-12 <= truth <= found.high + 1e-12)

    return event


def world(n: int, rng: np.random.Generator) -> Setting:
    """Draw straight rising curves, the strategy 0.05 above the baseline: it saves 500 labels."""
    level = BUDGETS / 10_000
    seeds = tuple(range(n))
    theirs, ours = 0.01 * curves(n, 2, rng) + level
    return Setting("d/all", "d", "all", BUDGETS, {"random": seeds, "s": seeds}, {"random": theirs, "s": ours + 0.05})


def labels_cover(method: Method) -> Event:
    def event(n: int, rng: np.random.Generator) -> bool:
        (row,) = labels_saved(world(n, rng), "s", "random", drawn(rng, method), targets=[0.4])
        return bool(row.saved_low <= 500 <= row.saved_high)

    return event


def levers_cover(method: Method) -> Event:
    def event(n: int, rng: np.random.Generator) -> bool:
        row = next(r for r in levers([world(n, rng)], "random", drawn(rng, method)) if r.budget == 3000)
        return bool(row.worth_low <= 500 <= row.worth_high)

    return event


KINDS: tuple[tuple[str, Callable[[Method], Event], int, int], ...] = (
    ("IQM of differences, 5 data sets", iqm_covers, 2, 2),
    ("probability of improvement, plain, 5 data sets", lambda m: improvement_covers(m, paired=False), 2, 2),
    ("probability of improvement, paired, 5 data sets", lambda m: improvement_covers(m, paired=True), 2, 2),
    ("labels saved, 1 data set", labels_cover, 2, LEAST_RUNS),
    ("equivalent extra labels of a factor, 1 data set", levers_cover, 2, LEAST_RUNS),
)
BOOTSTRAP = tuple(
    cover(
        f"{name}, {method} bootstrap",
        make(method),
        default=method == "expanded",
        cost=cost,
        least=least if method == "expanded" else 1,
    )
    for name, make, cost, least in KINDS
    for method in ("percentile", "expanded")
)
