"""Decide which strategies are better than random, worse, equivalent or undecided.

The endpoint is the paired difference to the baseline in area under the budget curve. Two kinds of claim are made,
"differs from random" and "is within the margin of random", each with family-wise error at most alpha (Holm over the
same family, unless the plan names another correction). If both hold, the difference is reported and flagged as
negligible. Planned comparisons without data stay in the family with p = 1, so that a missing run never makes the others
look better.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from analysis.loading.curves import Curves
from analysis.statistics.corrections import adjust
from analysis.statistics.inversion import excludable_share
from analysis.statistics.power import least_seeds, least_seeds_equivalence, seeds_to_decide
from analysis.verdict.comparison import SIMULATION_SEED, Answer, Comparison, Verdict
from analysis.verdict.endpoint import endpoints
from analysis.verdict.estimate import Estimate, estimates, estimates_at_looks
from analysis.verdict.pairing import Paired, paired_endpoints
from protocol.spec.study import Plan


def compare(curves: Curves, rng: np.random.Generator | None = None) -> Comparison:
    """Compare every planned strategy with the baseline under every protocol.

    Args:
        curves: Complete runs and their plan.
        rng: Source of Monte Carlo sign flips for more than 16 seeds; by default a fixed seed, so that the same curves
            give the same numbers.
    """
    generator = np.random.default_rng(SIMULATION_SEED) if rng is None else rng
    paired = paired_endpoints(curves)
    families = _families(paired, curves)
    verdicts: dict[tuple[str, str], Verdict] = {}
    for family in families:
        for verdict in _judge(family, curves, generator):
            verdicts[verdict.protocol, verdict.strategy] = verdict
    tests = max((len(f) for f in families), default=0)
    return Comparison(
        study=curves.study,
        baseline=curves.baseline,
        plan=curves.plan,
        exploratory=curves.exploratory,
        amended=curves.amended,
        verdicts=tuple(verdicts[p.protocol, p.strategy] for p in paired),
        tests=tests,
        least_seeds=least_seeds(curves.plan.test, max(tests, 1), curves.plan.alpha),
        least_seeds_equivalence=least_seeds_equivalence(max(tests, 1), curves.plan.alpha),
        rho=curves.rho,
        planned=len(curves.planned),
        complete=curves.complete,
        missing=curves.missing,
        unmatched=tuple(_unmatched(p, curves) for p in paired if p.unmatched),
        metrics=dict(curves.metrics),
        notes=(*curves.notes, *_upper_lines(curves)),
        unit=curves.unit,
        mismatch=curves.mismatch,
        group=curves.group,
        has_curves=curves.has_curves,
        directions=dict(curves.directions),
        warnings=curves.warnings,
        area=curves.area,
    )


def _families(paired: Sequence[Paired], curves: Curves) -> list[list[Paired]]:
    groups = [curves.group_of(p.protocol) for p in paired]
    return [[p for p, g in zip(paired, groups, strict=True) if g == group] for group in dict.fromkeys(groups)]


def decide(family: Sequence[Estimate], plan: Plan) -> list[tuple[Answer, float, float]]:
    """Classify comparisons that are corrected together.

    Returns:
        Answer, adjusted p and adjusted p of equivalence per estimate.
    """
    adjusted = adjust([e.test.p for e in family], plan.correction)
    equal = adjust([e.equivalence for e in family], plan.correction)
    return [
        (_answer(e.difference * e.test.direction, e.test.direction, float(p), float(q), plan.alpha), float(p), float(q))
        for e, p, q in zip(family, adjusted, equal, strict=True)
    ]


def _judge(family: Sequence[Paired], curves: Curves, rng: np.random.Generator) -> list[Verdict]:
    plan = curves.plan
    estimated = (
        estimates_at_looks(family, curves, rng)
        if plan.looks and curves.paired
        else estimates(family, plan.test, plan.delta, rng, paired=curves.paired, rho=curves.rho)
    )
    planned = Counter((k.protocol, k.strategy) for k in curves.planned)
    verdicts = []
    for pair, e, (answer, p, q) in zip(family, estimated, decide(estimated, plan), strict=True):
        result = e.test
        dataset, regime = curves.places.get(pair.protocol, ("", ""))
        verdicts.append(
            Verdict(
                protocol=pair.protocol,
                strategy=pair.strategy,
                answer=answer,
                negligible=answer in ("better", "worse") and q <= plan.alpha,
                n=e.n,
                n_planned=planned[pair.protocol, pair.strategy],
                value=_mean(pair.strategy_values),
                baseline_value=_mean(pair.baseline_values),
                difference=e.difference,
                low=e.low,
                high=e.high,
                sd=e.sd,
                p=result.p,
                p_error=result.standard_error,
                p_adjusted=p,
                p_equivalence=e.equivalence,
                p_equivalence_adjusted=q,
                smallest_p=result.smallest_p,
                seeds_to_decide=seeds_to_decide(
                    e.sd, plan.delta, plan.alpha, len(family), plan.test if curves.paired else "t"
                )
                if e.n > 1
                else None,
                test=result.test,
                dataset=dataset,
                regime=regime,
                group=curves.group_of(pair.protocol),
                interval=e.interval,
                centre=e.centre,
                excludable=excludable_share(e.n),
                resolution=pair.resolution,
            )
        )
    return verdicts


def _answer(agreement: float, direction: int, p: float, p_equivalence: float, alpha: float) -> Answer:
    """Return the answer; `agreement` > 0 if mean and test have the same direction.

    They can differ: one outlier can turn the mean against Wilcoxon's ranks.
    """
    if p <= alpha and agreement > 0:
        return "better" if direction > 0 else "worse"
    return "equivalent" if p_equivalence <= alpha else "undecided"


def _upper_lines(curves: Curves) -> list[str]:
    """Describe upper-line strategies, which saw the pool's labels; they get no verdict."""
    values = endpoints(curves)
    lines = []
    for protocol in curves.protocols:
        wide = values[values["protocol"] == protocol].set_index(["strategy", "seed"])["aubc"].unstack("strategy")
        for name in (s for s in curves.strategies if s in curves.upper):
            if {name, curves.baseline} <= set(wide):
                both = wide[[name, curves.baseline]].dropna()
                gap = float((both[name] - both[curves.baseline]).mean())
                lines.append(
                    f"{protocol}/{name} is an upper line that saw the pool's labels, not tested: "
                    f"mean {_mean(both[name].to_numpy()):.4f}, {gap:+.4f} to {curves.baseline} over {len(both)} seeds"
                )
    return lines


def _unmatched(pair: Paired, curves: Curves) -> str:
    seeds = ", ".join(curves.unit_name(number) for number in pair.unmatched)
    return (
        f"{pair.protocol}/{pair.strategy}: {curves.unit} {seeds} has no partner among the complete runs of "
        f"{curves.baseline}, or the other way round"
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
