"""Tests, verdicts and intervals as functions (n, rng) -> whether the event happened."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from analysis.secondary.details import A12_LEAST
from analysis.statistics.area import aubc
from analysis.statistics.effect_sizes import cohens_dz, paired_improvement, superiority
from analysis.statistics.hypothesis_tests import Test, paired_t, sign_flip, tost, welch, wilcoxon
from analysis.statistics.intervals import simultaneous_band, t_band, t_interval
from analysis.statistics.max_t import max_t
from analysis.statistics.power import power_of_t, power_of_tost
from analysis.verdict.decide import decide
from analysis.verdict.estimate import Estimate, estimates, independent
from analysis.verdict.pairing import Paired
from protocol.spec.study import Plan
from tests.calibration.worlds import BUDGETS, area_sd, curves, differences, family, noise

Event = Callable[[int, np.random.Generator], bool]
ALPHA = 0.05


@dataclass(frozen=True)
class Procedure:
    """One row of the table.

    Attributes:
        nominal: the promised rate for n; an error rate should not be above, a coverage not below.
        default: whether the project uses it unless another method is requested.
        exact: a rate that must be met from both sides (power against its formula).
        cost: the row takes 1 / cost of the simulated studies, and a quarter of them beyond 16 seeds if `flips`.
        flips: whether the row inverts sign flips, which is slow where flips are drawn at random.
        least: seeds below which the project does not give it, so that no rate is promised.
    """

    name: str
    event: Event
    nominal: Callable[[int], float]
    default: bool
    exact: bool = False
    cost: int = 1
    least: int = 1
    flips: bool = False


def error(name: str, event: Event, *, default: bool, cost: int = 1, flips: bool = False) -> Procedure:
    return Procedure(name, event, lambda n: ALPHA, default, cost=cost, flips=flips)


def area(n: int, rng: np.random.Generator) -> np.ndarray:
    return aubc(BUDGETS, differences(n, rng))


def sides(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw AUBCs of independent samples, the second with twice the spread and 1.5 times as many."""
    return aubc(BUDGETS, noise((n,), rng)), 2 * aubc(BUDGETS, noise((n + n // 2,), rng))


def estimated(n: int, rng: np.random.Generator, shift: float = 0.0, delta: float = 0.7) -> Estimate:
    """Estimate one simulated study by the default test; `shift` and `delta` in standard deviations of a difference."""
    d = area(n, rng) + shift * area_sd()
    return estimates([Paired("p", "s", tuple(range(n)), d, np.zeros(n))], "sign-flip", delta * area_sd(), rng)[0]


TYPE_I = (
    error("sign-flip", lambda n, rng: sign_flip(area(n, rng), rng).p <= ALPHA, default=True),
    error("paired t", lambda n, rng: paired_t(area(n, rng)).p <= ALPHA, default=False),
    error("Wilcoxon", lambda n, rng: wilcoxon(area(n, rng)).p <= ALPHA, default=False),
    error("Welch, unequal spread and size", lambda n, rng: welch(*sides(n, rng)).p <= ALPHA, default=True),
    error("equivalence (98 % interval) at a true difference of delta", lambda n, rng: estimated(n, rng, 0.7, 0.7).equivalence <= ALPHA, default=True, cost=4),
    error("TOST at a true difference of delta", lambda n, rng: tost(area(n, rng) + 0.7 * area_sd(), 0.7 * area_sd()).p <= ALPHA, default=False),
    error("max-T, whole curve", lambda n, rng: max_t(differences(n, rng), rng).p <= ALPHA, default=True),
    error(
        "t at each of 10 budgets, uncorrected",
        lambda n, rng: bool(np.any(stats.ttest_1samp(differences(n, rng), 0).pvalue <= ALPHA)),
        default=False,
    ),
)  # fmt: skip


@functools.lru_cache(maxsize=50_000)
def _family_estimates(n: int, shift: float, test: Test, delta: float, seed: int) -> list[Estimate]:
    """Estimate one study of a family; rows that differ in the correction alone share it."""
    rng = np.random.default_rng(seed)
    return estimates(family(n, 5, 2, shift * area_sd(), rng), test, delta, rng)


def verdicts(claim: str, shift: float, **plan: Any) -> Event:
    """Return whether any of 5 strategies x 2 data sets gets a wrong answer.

    `shift` and delta are in standard deviations of the paired difference.
    """

    def event(n: int, rng: np.random.Generator) -> bool:
        fixed = Plan(delta=0.9 * area_sd(), **plan)
        found = decide(_family_estimates(n, shift, fixed.test, fixed.delta, int(rng.integers(2**32))), fixed)
        wrong = ("better", "worse") if claim == "differs" else ("equivalent",)
        return any(answer in wrong for answer, _, _ in found)

    return event


FAMILY = (
    error(
        "verdicts: any better or worse, Holm (the default plan)",
        verdicts("differs", 0.0),
        default=True,
        cost=2,
        flips=True,
    ),
    error("verdicts: any better or worse, Holm, t", verdicts("differs", 0.0, test="t"), default=False, flips=True),
    error(
        "verdicts: any better or worse, Hochberg, t",
        verdicts("differs", 0.0, test="t", correction="hochberg"),
        default=False,
        flips=True,
    ),
    error(
        "verdicts: any better or worse, Hommel, t",
        verdicts("differs", 0.0, test="t", correction="hommel"),
        default=False,
        flips=True,
    ),
    error(
        "verdicts: any better or worse, BH, t",
        verdicts("differs", 0.0, test="t", correction="bh"),
        default=False,
        flips=True,
    ),
    error(
        "verdicts: any better or worse, BY, t",
        verdicts("differs", 0.0, test="t", correction="by"),
        default=False,
        flips=True,
    ),
    error(
        "verdicts: any equivalent at a true difference of delta",
        verdicts("equal", 0.9),
        default=True,
        cost=4,
        flips=True,
    ),
)


def power(kind: str, n: int) -> float:
    return power_of_t(n, 1.0, ALPHA) if kind == "t" else power_of_tost(n, 1.0, 1.0, ALPHA)


POWER = (
    Procedure(
        "paired t, true difference 1 sd",
        lambda n, rng: paired_t(area(n, rng) + area_sd()).p <= ALPHA,
        lambda n: power("t", n),
        False,
        True,
    ),
    Procedure(
        "TOST, delta 1 sd, true difference 0",
        lambda n, rng: tost(area(n, rng), area_sd()).p <= ALPHA,
        lambda n: power("tost", n),
        False,
        True,
    ),
    Procedure(
        "equivalence (98 % interval), delta 1 sd, true difference 0 (next to the TOST formula)",
        lambda n, rng: estimated(n, rng, delta=1.0).equivalence <= ALPHA,
        lambda n: power("tost", n),
        True,
        cost=4,
    ),
    Procedure(
        "sign-flip, true difference 1 sd (next to the t formula)",
        lambda n, rng: sign_flip(area(n, rng) + area_sd(), rng).p <= ALPHA,
        lambda n: power("t", n),
        True,
    ),
)


def within(low: float, truth: float, high: float) -> bool:
    return bool(low <= truth <= high)


def t_covers(n: int, rng: np.random.Generator) -> bool:
    found = t_interval(area(n, rng))
    return within(found.low, 0.0, found.high)


def interval_covers(n: int, rng: np.random.Generator) -> bool:
    found = estimated(n, rng)
    return within(found.low, 0.0, found.high)


def welch_covers(n: int, rng: np.random.Generator) -> bool:
    found = independent(*sides(n, rng), 0.1)
    return within(found.low, 0.0, found.high)


def percentile_covers(n: int, rng: np.random.Generator) -> bool:
    d = area(n, rng)
    drawn = d[rng.integers(0, n, (1000, n))].mean(axis=1)
    return within(float(np.quantile(drawn, 0.025)), 0.0, float(np.quantile(drawn, 0.975)))


def normal_covers(n: int, rng: np.random.Generator) -> bool:
    d = area(n, rng)
    return bool(abs(d.mean()) <= 1.96 * d.std(ddof=1) / np.sqrt(n))


def pointwise_covers(n: int, rng: np.random.Generator) -> bool:
    _, low, high = t_band(differences(n, rng))
    return bool(((low <= 0) & (high >= 0)).all())


def band_covers(method: Any) -> Event:
    def event(n: int, rng: np.random.Generator) -> bool:
        band = simultaneous_band(differences(n, rng), method=method)
        return bool(((band.low <= 0) & (band.high >= 0)).all())

    return event


def dz_covers(n: int, rng: np.random.Generator) -> bool:
    found = cohens_dz(area(n, rng) + 0.8 * area_sd())
    return within(found.low, 0.8, found.high)


def a12_covers(shared: float) -> Event:
    def event(n: int, rng: np.random.Generator) -> bool:
        both, own = rng.normal(size=n), rng.normal(size=(2, n))
        x, y = np.sqrt(shared) * both + np.sqrt(1 - shared) * own
        found = superiority(x + 0.8, y)
        return within(found.low, float(stats.norm.cdf(0.8 / np.sqrt(2))), found.high)

    return event


def improvement_covers(n: int, rng: np.random.Generator) -> bool:
    found = paired_improvement(rng.normal(0.8, 1, n))
    return within(found.low, float(stats.norm.cdf(0.8)), found.high)


def cover(name: str, event: Event, *, default: bool, cost: int = 1, least: int = 1) -> Procedure:
    return Procedure(name, event, lambda n: 1 - ALPHA, default, cost=cost, least=least)


COVERAGE = (
    cover("interval of the verdict's test (t below 6 seeds)", interval_covers, default=True, cost=4),
    cover("t interval of the mean difference", t_covers, default=False),
    cover("Welch interval, unequal spread and size", welch_covers, default=True),
    cover("percentile bootstrap of the mean difference", percentile_covers, default=False),
    cover("mean ± 1.96 standard errors", normal_covers, default=False),
    cover("pointwise t band, the whole curve inside", pointwise_covers, default=False),
    cover("simultaneous band as drawn (Bonferroni t to n = 5, then sup-t)", band_covers(None), default=True, cost=5),
    cover("simultaneous band, Bonferroni t", band_covers("bonferroni-t"), default=False),
    cover("simultaneous band, sup-t", band_covers("sup-t"), default=False, cost=5),
    cover("d_z, noncentral t", dz_covers, default=True, cost=2),
    cover("A12, independent samples", a12_covers(0.0), default=True, least=A12_LEAST),
    cover("tried: A12, independent samples, from few seeds on", a12_covers(0.0), default=False),
    cover("A12, half of the variance shared by seed", a12_covers(0.5), default=True, least=A12_LEAST),
    cover("paired improvement, Clopper-Pearson", improvement_covers, default=True),
)


def curves_agree_with_their_formula(rng: np.random.Generator) -> tuple[float, float]:
    """Return the simulated and the stated sd of a paired difference in AUBC, which must agree."""
    ours, theirs = aubc(BUDGETS, curves(20_000, 2, rng))
    return float((ours - theirs).std()), area_sd()
