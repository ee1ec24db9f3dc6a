"""The primary analysis of a study, as its plan fixed it: who is better than random, worse, equivalent, or undecided.

Endpoint: paired difference to the baseline in area under the budget curve. Two kinds of claim are made,
"differs from random" and "is within the margin of random", each with family-wise error at most alpha
(Holm over the same family, unless another correction is planned). If both hold, the difference is reported,
flagged negligible. Planned comparisons without data stay in the family with p = 1: a missing run never makes
the others look better.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from analysis import tables, wording
from analysis.answers import Answer, Verdict
from analysis.curves import endpoints
from analysis.estimates import Estimate, estimates
from analysis.load import Curves, Missing
from analysis.pairing import Paired, paired_endpoints
from analysis.power import least_seeds, minimum_detectable_effect, seeds_to_decide
from analysis.rows import jsonable
from analysis.runs import Group, Mismatch, Unit
from analysis.sequential import at_looks
from analysis.significance import adjust
from protocol.spec import Plan

SCHEMA = "beatrandom/comparison/1"
SIMULATION_SEED = 1912
"""Of the Monte Carlo sign flips beyond 16 seeds, unless a generator is given."""


@dataclass(frozen=True)
class Comparison:
    """All verdicts of a study with what they rest on.

    Attributes:
        verdicts: in the study's order, protocol by protocol.
        tests: tests corrected together, per family.
        least_seeds: fewest seeds with which one test of the family can reject.
        planned, complete: runs.
        missing: runs that are not analysed, with reasons.
        unmatched: complete runs without a partner of the same seed, as sentences.
    """

    study: str
    baseline: str
    plan: Plan
    exploratory: bool
    verdicts: tuple[Verdict, ...]
    tests: int
    least_seeds: int
    planned: int
    complete: int
    missing: tuple[Missing, ...]
    unmatched: tuple[str, ...]
    metrics: dict[str, str]
    notes: tuple[str, ...] = ()
    amended: int = 0
    unit: Unit = "seed"
    mismatch: Mismatch = "list"
    group: Group | None = None
    has_curves: bool = True

    @property
    def paired(self) -> bool:
        """Whether differences were taken within seeds (or data sets)."""
        return self.mismatch != "unpaired"

    def to_frame(self) -> pd.DataFrame:
        """A row per verdict, a column per field, unrounded."""
        return pd.DataFrame([asdict(v) for v in self.verdicts], columns=[f.name for f in fields(Verdict)])

    def to_markdown(self) -> str:
        """A table for README files and issues."""
        return tables.markdown(self.verdicts)

    def to_latex(self) -> str:
        """A booktabs table."""
        return tables.latex(self.verdicts)

    def to_json(self) -> str:
        """Everything, unrounded; NaN becomes null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)

    def to_dict(self) -> dict[str, Any]:
        """What JSON says, as plain data."""
        return {
            "schema": SCHEMA,
            "study": self.study,
            "baseline": self.baseline,
            "exploratory": self.exploratory,
            "amended": self.amended,
            "plan": self.plan.model_dump(mode="json"),
            "tests": self.tests,
            "least_seeds": self.least_seeds,
            "metrics": self.metrics,
            "runs": {"planned": self.planned, "complete": self.complete, "missing": [str(m) for m in self.missing]},
            "unmatched": list(self.unmatched),
            "notes": list(self.notes),
            "endpoint": "area under the budget curve" if self.has_curves else "value",
            "unit": self.unit,
            "paired": self.paired,
            "mismatch": self.mismatch,
            "group": self.group,
            "planning": self.planning(),
            "verdicts": [{name: jsonable(value) for name, value in asdict(v).items()} for v in self.verdicts],
        }

    def planning(self) -> list[dict[str, Any]]:
        """What each comparison's seeds can show: smallest p, and the true difference found with 80 % power at alpha / tests (paired t).

        `detectable_sd` is in standard deviations of the difference, `detectable` in the metric's units with the observed spread.
        Neither uses the observed difference. `tests` are those corrected together with it.
        """
        sizes = Counter(v.group for v in self.verdicts)
        rows = []
        for v in self.verdicts:
            effect = minimum_detectable_effect(v.n, self.plan.alpha / sizes[v.group]) if self.paired else math.nan
            own = {"protocol": v.protocol, "strategy": v.strategy, "n": v.n, "tests": sizes[v.group], "smallest_p": v.smallest_p}
            reach = {"seeds_to_decide": v.seeds_to_decide, "detectable_sd": effect, "detectable": effect * v.sd}
            rows.append({name: jsonable(value) for name, value in (own | reach).items()})
        return rows

    def headline(self) -> str:
        """How many comparisons had which answer, in one sentence."""
        return wording.headline(self)

    def summary(self) -> str:
        """The answer, how it was reached and what is missing, in sentences."""
        return wording.summary(self)


def compare(curves: Curves, rng: np.random.Generator | None = None) -> Comparison:
    """The verdict on every planned strategy under every protocol.

    Args:
        rng: for Monte Carlo sign flips with more than 16 seeds; by default a fixed seed, so that the same
            curves give the same figures.
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
    )


def _families(paired: Sequence[Paired], curves: Curves) -> list[list[Paired]]:
    groups = [curves.group_of(p.protocol) for p in paired]
    return [[p for p, own in zip(paired, groups, strict=True) if own == group] for group in dict.fromkeys(groups)]


def decide(found: Sequence[Estimate], plan: Plan) -> list[tuple[Answer, float, float]]:
    """Answer, adjusted p and adjusted p of equivalence of comparisons that are corrected together."""
    adjusted = adjust([e.test.p for e in found], plan.correction)
    equal = adjust([e.equivalence for e in found], plan.correction)
    return [
        (_answer(e.difference * e.test.direction, e.test.direction, float(p), float(q), plan.alpha), float(p), float(q))
        for e, p, q in zip(found, adjusted, equal, strict=True)
    ]


def _judge(family: Sequence[Paired], curves: Curves, rng: np.random.Generator) -> list[Verdict]:
    plan = curves.plan
    found = (
        at_looks(family, curves, rng)
        if plan.looks and curves.paired
        else estimates(family, plan.test, plan.delta, rng, paired=curves.paired)
    )
    planned = Counter((k.protocol, k.strategy) for k in curves.planned)
    verdicts = []
    for pair, e, (answer, p, q) in zip(family, found, decide(found, plan), strict=True):
        result = e.test
        inside = e.low > -plan.delta and e.high < plan.delta
        dataset, regime = curves.places.get(pair.protocol, ("", ""))
        verdicts.append(
            Verdict(
                protocol=pair.protocol,
                strategy=pair.strategy,
                answer=answer,
                negligible=answer in ("better", "worse") and inside,
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
                seeds_to_decide=seeds_to_decide(e.sd, plan.delta, plan.alpha, len(family), plan.test if curves.paired else "t")
                if e.n > 1
                else None,
                test=result.test,
                dataset=dataset,
                regime=regime,
                group=curves.group_of(pair.protocol),
            )
        )
    return verdicts


def _answer(agreement: float, direction: int, p: float, p_equivalence: float, alpha: float) -> Answer:
    """`agreement` > 0: mean and test point the same way (an outlier can turn the mean against Wilcoxon's ranks)."""
    if p <= alpha and agreement > 0:
        return "better" if direction > 0 else "worse"
    return "equivalent" if p_equivalence <= alpha else "undecided"


def _upper_lines(curves: Curves) -> list[str]:
    """What whoever saw the pool's labels reached: said beside the verdicts, no verdict."""
    found = endpoints(curves)
    lines = []
    for protocol in curves.protocols:
        own = found[found["protocol"] == protocol].set_index(["strategy", "seed"])["aubc"].unstack("strategy")  # noqa: PD010  (one column)
        for name in (s for s in curves.strategies if s in curves.upper):
            if {name, curves.baseline} <= set(own):
                both = own[[name, curves.baseline]].dropna()
                gap = float((both[name] - both[curves.baseline]).mean())
                lines.append(
                    f"{protocol}/{name} is an upper line that saw the pool's labels, not tested: mean {_mean(both[name].to_numpy()):.4f}, "
                    f"{gap:+.4f} to {curves.baseline} over {len(both)} seeds"
                )
    return lines


def _unmatched(pair: Paired, curves: Curves) -> str:
    seeds = ", ".join(curves.unit_name(number) for number in pair.unmatched)
    return f"{pair.protocol}/{pair.strategy}: {curves.unit} {seeds} has no partner among the complete runs of {curves.baseline}, or the other way round"


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
