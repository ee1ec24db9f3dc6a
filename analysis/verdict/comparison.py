"""Verdicts and comparisons: the four possible answers, and what is reported with them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import pandas as pd

from analysis.formatting.numbers import jsonable
from analysis.loading.curves import Group, MetricDirection, Mismatch, Missing, Unit
from analysis.statistics.area import describe_area
from analysis.statistics.hypothesis_tests import Test
from analysis.statistics.power import minimum_detectable_effect
from analysis.verdict.estimate import Interval
from protocol.spec.study import Plan

Answer = Literal["better", "worse", "equivalent", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """Verdict on one strategy against the baseline under one protocol.

    Differences are strategy minus baseline, in the metric's units.

    Attributes:
        answer: Better or worse if the adjusted p is at most alpha and the mean agrees with the test's direction; else
            equivalent if the adjusted p of equivalence is at most alpha; else undecided, which does not mean "no
            difference".
        negligible: Better or worse, and equivalent as well: different, but by less than the margin.
        n, n_planned: Paired seeds, analysed and planned. With planned looks, n is that of the last look reached.
        value, baseline_value: Mean endpoints over the paired seeds.
        difference, low, high: Mean paired difference and 95 % interval, not adjusted for multiple comparisons.
        sd: Standard deviation of the paired difference.
        p, p_adjusted: Two-sided p, raw and corrected over the family. With planned looks, p is sequential (see
            `analysis.statistics.alpha_spending`).
        p_error: Monte Carlo standard error of p; 0 if p is exact.
        p_equivalence, p_equivalence_adjusted: p of equivalence within the margin (see
            `analysis.statistics.inversion.equivalence_p`), raw and corrected over the same family.
        smallest_p: Smallest raw p that n seeds can give (0 for the t test).
        seeds_to_decide: See `analysis.statistics.power.seeds_to_decide`; None for n < 2, and above 100 000.
        test: The test that was used.
        dataset, regime: Where the comparison was made.
        group: Family of tests that it was corrected in; empty if there is only one.
        interval: Test whose inversion gave the interval. "t" beside an exact test means that n is too small for an
            exact interval; empty if there is none.
        centre: Value that the interval is made around: the mean difference, for Wilcoxon's test the pseudo-median.
        excludable: Largest share of seeds with another outcome (such as a collapse) that n like outcomes cannot exclude
            at 95 %.
        resolution: Smallest difference that the metric's values can show (`analysis.verdict.pairing.resolution`). No
            interval is narrower, and a margin below half of it can never be shown.
    """

    protocol: str
    strategy: str
    answer: Answer
    negligible: bool
    n: int
    n_planned: int
    value: float
    baseline_value: float
    difference: float
    low: float
    high: float
    sd: float
    p: float
    p_error: float
    p_adjusted: float
    p_equivalence: float
    p_equivalence_adjusted: float
    smallest_p: float
    seeds_to_decide: int | None
    test: Test | Literal["welch"]
    dataset: str = ""
    regime: str = ""
    group: str = ""
    interval: Interval = ""
    centre: float = math.nan
    excludable: float = 1.0
    resolution: float = 0.0


SCHEMA = "beatrandom/comparison/1"


SIMULATION_SEED = 1912
"""Seed of the Monte Carlo sign flips for more than 16 seeds, unless a generator is given."""


@dataclass(frozen=True)
class Comparison:
    """All verdicts of a study, with the plan and the data behind them.

    Attributes:
        verdicts: In the study's order, protocol by protocol.
        tests: Number of tests corrected together, in the largest family.
        least_seeds: Fewest seeds with which one test of the family can reject.
        least_seeds_equivalence: Fewest seeds with which one test of the family can show equivalence.
        rho: Correlation between differences that the t test is corrected for.
        planned, complete: Numbers of runs.
        missing: Runs that are not analysed, with reasons.
        unmatched: Complete runs without a partner of the same seed, as sentences.
        metrics: Protocol -> primary metric (higher is better).
        notes: Changes made to the data, and reasons for amendments of the plan.
        amended: How often the plan was changed after the study had started.
        directions: Protocol -> the direction of its metric that was used.
        warnings: What must be read before the verdicts; not repeated in `notes`.
        area: How the values of a curve became one number; see `Curves.area`.
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
    least_seeds_equivalence: int = 2
    rho: float = 0.0
    directions: Mapping[str, MetricDirection] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    area: str = "trapezoid"

    @property
    def paired(self) -> bool:
        """Return whether differences were taken within seeds (or data sets)."""
        return self.mismatch != "unpaired"

    @property
    def read_first(self) -> tuple[str, ...]:
        """Return the direction of every metric, and the warnings: the first lines of every output."""
        return (*dict.fromkeys(map(str, self.directions.values())), *self.warnings)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per verdict and one column per field, unrounded."""
        return pd.DataFrame([asdict(v) for v in self.verdicts], columns=[f.name for f in fields(Verdict)])

    def to_json(self) -> str:
        """Return everything as JSON, unrounded; NaN becomes null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the JSON as plain data."""
        return {
            "schema": SCHEMA,
            "study": self.study,
            "baseline": self.baseline,
            "exploratory": self.exploratory,
            "amended": self.amended,
            "plan": self.plan.model_dump(mode="json"),
            "tests": self.tests,
            "least_seeds": self.least_seeds,
            "least_seeds_equivalence": self.least_seeds_equivalence,
            "rho": self.rho,
            "metrics": self.metrics,
            "directions": {protocol: asdict(direction) for protocol, direction in self.directions.items()},
            "warnings": list(self.warnings),
            "runs": {"planned": self.planned, "complete": self.complete, "missing": [str(m) for m in self.missing]},
            "unmatched": list(self.unmatched),
            "notes": list(self.notes),
            "endpoint": describe_area(self.area) if self.has_curves else "value",
            "area": self.area,
            "unit": self.unit,
            "paired": self.paired,
            "mismatch": self.mismatch,
            "group": self.group,
            "planning": self.planning(),
            "verdicts": [{name: jsonable(value) for name, value in asdict(v).items()} for v in self.verdicts],
        }

    def planning(self) -> list[dict[str, Any]]:
        """Return what the seeds of each comparison can show, without using the observed difference.

        Returns:
            Per verdict: `tests` corrected together with it; `smallest_p`; `seeds_to_decide`; and the true difference
            detected with 80 % power at alpha / tests (paired t), as `detectable_sd` in standard deviations of the
            difference and as `detectable` in the metric's units with the observed spread.
        """
        sizes = Counter(v.group for v in self.verdicts)
        rows = []
        for v in self.verdicts:
            effect = minimum_detectable_effect(v.n, self.plan.alpha / sizes[v.group]) if self.paired else math.nan
            own = {
                "protocol": v.protocol,
                "strategy": v.strategy,
                "n": v.n,
                "tests": sizes[v.group],
                "smallest_p": v.smallest_p,
            }
            reach = {"seeds_to_decide": v.seeds_to_decide, "detectable_sd": effect, "detectable": effect * v.sd}
            rows.append({name: jsonable(value) for name, value in (own | reach).items()})
        return rows
