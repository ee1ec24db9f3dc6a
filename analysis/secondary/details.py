"""Secondary results: endpoints, whole curves, effect sizes, probabilities, query costs.

The endpoints are the secondary ones, the probabilities Bayesian. None of them changes a verdict. Results that the
plan does not name are marked exploratory.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.formatting.rows import Rows
from analysis.loading.curves import Curves
from analysis.secondary.query_cost import QueryCost, query_costs
from analysis.statistics.arrays import Floats
from analysis.statistics.bayes import correlated_t, dirichlet_weights, signed_rank
from analysis.statistics.corrections import adjust
from analysis.statistics.effect_sizes import Effect, cohens_dz, paired_improvement, superiority
from analysis.statistics.intervals import simultaneous_band
from analysis.statistics.max_t import MaxT, max_t
from analysis.verdict.comparison import SIMULATION_SEED
from analysis.verdict.endpoint import endpoints, matrix
from analysis.verdict.estimate import estimates
from analysis.verdict.pairing import Paired, paired_curves, paired_endpoints, paired_values, resolution
from protocol.errors import Fault, InputError

A12_LEAST = 10
"""Seeds below which A12 has no interval: with 5 seeds, a nominal 95 % interval covers .92 (CALIBRATION.md)."""


@dataclass(frozen=True)
class Secondary:
    """Secondary endpoint, tested like the primary one.

    It is corrected over the same family, endpoint by endpoint.
    """

    protocol: str
    strategy: str
    endpoint: str
    exploratory: bool
    n: int
    value: float
    baseline_value: float
    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float


@dataclass(frozen=True)
class WholeCurve:
    """Test of a difference at any budget (max-T over sign flips), and at which (step-down).

    For paired seeds only.

    Attributes:
        p, p_error: p of no difference anywhere, with its Monte Carlo error.
        p_adjusted: p corrected over the family.
        smallest_p: smallest p that the number of seeds can give.
        better_at, worse_at: budgets whose step-down p, times the number of curves in the family, is at most alpha. So
            the family-wise error over all budgets of all strategies is at most alpha.
    """

    protocol: str
    strategy: str
    exploratory: bool
    n: int
    budgets: int
    p: float
    p_error: float
    p_adjusted: float
    smallest_p: float
    better_at: tuple[int, ...]
    worse_at: tuple[int, ...]


@dataclass(frozen=True)
class BandPoint:
    """Paired difference at one budget, with a simultaneous band and the step-down p.

    The 95 % band is simultaneous over all budgets.
    """

    protocol: str
    strategy: str
    method: str
    budget: int
    n: int
    difference: float
    low: float
    high: float
    p_adjusted: float


@dataclass(frozen=True)
class EffectRow:
    """Effect size of the endpoint with its 95 % interval.

    It is d_z, A12 (unpaired) or the paired probability of improvement.
    """

    protocol: str
    strategy: str
    effect: str
    n: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PosteriorRow:
    """Posterior probabilities of worse, practically equal (within ±rope) and better.

    They are no error rates.
    """

    protocol: str
    strategy: str
    model: str
    n: int
    rope: float
    worse: float
    equal: float
    better: float


@dataclass(frozen=True)
class Details:
    """All secondary results; every part has `to_frame`, `to_markdown`, `to_latex` and `to_list`."""

    secondary: Rows[Secondary]
    whole_curve: Rows[WholeCurve]
    band: Rows[BandPoint]
    effects: Rows[EffectRow]
    bayes: Rows[PosteriorRow]
    query_cost: Rows[QueryCost]

    def parts(self) -> dict[str, Rows[Any]]:
        """Return the parts by name."""
        return {
            name: getattr(self, name) for name in ("secondary", "whole_curve", "band", "effects", "bayes", "query_cost")
        }

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Return plain data for JSON."""
        return {name: part.to_list() for name, part in self.parts().items()}


def details(
    curves: Curves, rng: np.random.Generator | None = None, *, at: Sequence[int] = (), rho: float = 0.0
) -> Details:
    """Compute all secondary results.

    Args:
        curves: curves of a study or a table.
        rng: generator for simulated tests and posteriors; by default one with a fixed seed.
        at: budgets at which to compare the metric itself, besides the planned ones.
        rho: correlation of the differences in the correlated t posterior; 0 for independent seeds.

    Raises:
        InputError: no protocol has a budget of `at`.
    """
    generator = np.random.default_rng(SIMULATION_SEED) if rng is None else rng
    pairs = paired_endpoints(curves)
    tests = _whole_curves(curves, generator) if curves.paired and curves.has_curves else {}
    return Details(
        secondary=Rows(Secondary, "Secondary endpoints", tuple(_secondary(curves, generator, at))),
        whole_curve=Rows(WholeCurve, "Whole curves: a difference at any budget?", tuple(_curve_rows(curves, tests))),
        band=Rows(BandPoint, "Differences with 95 % simultaneous bands", tuple(_band_rows(curves, tests))),
        effects=Rows(EffectRow, "Effect sizes of the endpoint", tuple(_effects(pairs, paired=curves.paired))),
        bayes=Rows(PosteriorRow, "Posterior probabilities", tuple(_posteriors(curves, pairs, generator, rho))),
        query_cost=query_costs(curves),
    )


def _measures(curves: Curves, at: Sequence[int]) -> Iterator[tuple[str, bool, pd.DataFrame]]:
    """Yield name, whether planned, and one value per run of every secondary endpoint."""
    if not curves.has_curves and not at:
        return
    plan = curves.plan
    absent = sorted({b for b in at if not any(b in matrix(curves, p).columns for p in curves.protocols)})
    if absent:
        there = sorted({int(b) for p in curves.protocols for b in matrix(curves, p).columns})
        raise InputError(
            Fault("--at", f"budgets of the curves ({', '.join(map(str, there))})", ", ".join(map(str, absent)))
        )
    on_log = endpoints(curves, "log2").rename(columns={"aubc": "value"})
    if len(on_log) or "aubc-log2" in plan.secondary:  # budgets that begin at 0 have no logarithm
        yield "aubc-log2", "aubc-log2" in plan.secondary, on_log
    yield "final", "final" in plan.secondary, _column(curves, lambda wide: wide.iloc[:, -1])
    for budget in dict.fromkeys((*plan.at_budgets, *at)):
        yield f"at {budget}", budget in plan.at_budgets, _column(curves, _at(budget))


def _at(budget: int) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda wide: wide[budget] if budget in wide.columns else pd.Series(dtype=np.float64)


def _column(curves: Curves, pick: Callable[[pd.DataFrame], pd.Series]) -> pd.DataFrame:
    wides = ((p, matrix(curves, p)) for p in curves.protocols)
    parts = [
        pick(wide).rename("value").reset_index().assign(protocol=p)
        for p, wide in wides
        if len(wide) and len(pick(wide))
    ]
    columns = ["protocol", "strategy", "seed", "value"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _secondary(curves: Curves, rng: np.random.Generator, at: Sequence[int]) -> Iterator[Secondary]:
    plan = curves.plan
    for name, planned, values in _measures(curves, at):
        pairs = paired_values(curves, values)
        found = estimates(pairs, plan.test, plan.delta, rng, paired=curves.paired, rho=curves.rho)
        adjusted = _over_families(curves, [p.protocol for p in pairs], [e.test.p for e in found])
        for pair, e, q in zip(pairs, found, adjusted, strict=True):
            yield Secondary(
                pair.protocol, pair.strategy, name, curves.exploratory or not planned, e.n,
                float(pair.strategy_values.mean()) if len(pair.strategy_values) else np.nan,
                float(pair.baseline_values.mean()) if len(pair.baseline_values) else np.nan,
                e.difference, e.low, e.high, e.test.p, q,
            )  # fmt: skip


def _over_families(curves: Curves, protocols: Sequence[str], p: Sequence[float]) -> list[float]:
    """Return p corrected within the families of the verdicts, in the same order."""
    groups = [curves.group_of(protocol) for protocol in protocols]
    out = [1.0] * len(p)
    for group in dict.fromkeys(groups):
        places = [i for i, own in enumerate(groups) if own == group]
        for place, q in zip(places, adjust([p[i] for i in places], curves.plan.correction), strict=True):
            out[place] = float(q)
    return out


def _whole_curves(curves: Curves, rng: np.random.Generator) -> dict[tuple[str, str], tuple[pd.DataFrame, MaxT | None]]:
    """Return difference curves and their test (`None` without pairs) of every planned comparison."""
    found = {key: paired_curves(curves, *key) for key in curves.comparisons}
    return {key: (d, max_t(d.to_numpy(dtype=np.float64), rng) if d.size else None) for key, d in found.items()}


def _curve_rows(curves: Curves, tests: dict[tuple[str, str], tuple[pd.DataFrame, MaxT | None]]) -> Iterator[WholeCurve]:
    adjusted = _over_families(curves, [p for p, _ in tests], [t.p if t else 1.0 for _, t in tests.values()])
    sizes = _family_sizes(curves)
    for ((protocol, strategy), (d, test)), q in zip(tests.items(), adjusted, strict=True):
        if test is None:
            yield WholeCurve(protocol, strategy, True, 0, d.shape[1], 1.0, 0.0, q, 1.0, (), ())
            continue
        strictest = curves.plan.alpha / sizes[curves.group_of(protocol)]
        found = {b: t for b, t, p in zip(d.columns, test.t, test.p_adjusted, strict=True) if p <= strictest}
        better, worse = (tuple(int(b) for b, t in found.items() if t * side > 0) for side in (1, -1))
        yield WholeCurve(
            protocol, strategy, True, test.n, d.shape[1], test.p, test.standard_error, q, test.smallest_p, better, worse
        )


def _family_sizes(curves: Curves) -> Counter[str]:
    """Count the planned curves of each family."""
    return Counter(curves.group_of(protocol) for protocol, _ in curves.comparisons)


def _band_rows(curves: Curves, tests: dict[tuple[str, str], tuple[pd.DataFrame, MaxT | None]]) -> Iterator[BandPoint]:
    sizes, finest = _family_sizes(curves), {protocol: resolution(curves, protocol) for protocol in curves.protocols}
    for (protocol, strategy), (d, test) in tests.items():
        if test is not None:
            band = simultaneous_band(d.to_numpy(dtype=np.float64), resolution=finest[protocol])
            corrected = np.minimum(1.0, test.p_adjusted * sizes[curves.group_of(protocol)])
            for i, budget in enumerate(d.columns):
                mean, low, high = float(band.mean[i]), float(band.low[i]), float(band.high[i])
                yield BandPoint(
                    protocol, strategy, band.method, int(budget), band.n, mean, low, high, float(corrected[i])
                )


def _effects(pairs: Sequence[Paired], *, paired: bool) -> Iterator[EffectRow]:
    for pair in pairs:
        n = min(len(pair.strategy_values), len(pair.baseline_values))
        a12 = superiority(pair.strategy_values, pair.baseline_values)
        found: dict[str, Effect] = {"A12": a12 if n >= A12_LEAST else Effect(a12.value, math.nan, math.nan)}
        if paired:
            found = {
                "d_z": cohens_dz(pair.differences),
                **found,
                "paired improvement": paired_improvement(pair.differences),
            }
        for name, e in found.items():
            yield EffectRow(pair.protocol, pair.strategy, name, n, e.value, e.low, e.high)


def _posteriors(
    curves: Curves, pairs: Sequence[Paired], rng: np.random.Generator, rho: float
) -> Iterator[PosteriorRow]:
    rope = curves.plan.delta
    drawn: dict[int, list[Floats]] = {}
    for pair in pairs if curves.paired else ():
        n = len(pair.differences)
        if n:
            if n not in drawn:
                drawn[n] = dirichlet_weights(n, rng)
            found = {"signed-rank": signed_rank(pair.differences, rope, rng, weights=drawn[n])}
            if n > 1:
                found[f"correlated t, rho {rho:g}"] = correlated_t(pair.differences, rope, rho)
            for model, p in found.items():
                yield PosteriorRow(pair.protocol, pair.strategy, model, n, rope, p.worse, p.equal, p.better)
