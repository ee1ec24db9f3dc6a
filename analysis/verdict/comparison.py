"""The four answers a comparison can have, and everything that is reported beside them."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import pandas as pd

from analysis.formatting.numbers import jsonable
from analysis.loading.curves import Group, Mismatch, Missing, Unit
from analysis.statistics.hypothesis_tests import Test
from analysis.statistics.power import minimum_detectable_effect
from protocol.spec.study import Plan

Answer = Literal["better", "worse", "equivalent", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """One strategy against the baseline under one protocol. Differences are strategy minus baseline, in the metric's units.

    Attributes:
        answer: better or worse if the adjusted p is at most alpha, and mean and test point the same way;
            else equivalent if the adjusted TOST p is; else undecided, which does not mean that there is no difference.
        negligible: better or worse, yet the whole interval lies within the margin.
        n, n_planned: paired seeds, analysed and planned.
        value, baseline_value: mean endpoints over the paired seeds.
        difference, low, high: mean paired difference and its 95 % t interval (for this comparison alone, not adjusted).
        sd: standard deviation of the paired difference.
        p, p_adjusted: two-sided test, raw and corrected over the family.
            With planned looks, n is that of the last look reached, and p is sequential (see `analysis.statistics.alpha_spending`).
        p_error: Monte Carlo standard error of p; 0 if it is exact.
        p_equivalence, p_equivalence_adjusted: TOST, raw and corrected over the same family.
        smallest_p: smallest raw p that n seeds can give (0 for the t test).
        seeds_to_decide: see `analysis.statistics.power.seeds_to_decide`; None if n < 2 gives no spread, or beyond 100 000.
        dataset, regime, group: where this is; the group is the family of tests it was corrected in, if there are several.
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
