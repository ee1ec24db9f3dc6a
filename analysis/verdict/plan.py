"""Summarise what a plan can decide before anything is run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis.statistics.alpha_spending import Spending, describe_looks
from analysis.statistics.hypothesis_tests import Test, smallest_p
from analysis.statistics.power import least_seeds, least_seeds_equivalence, minimum_detectable_effect
from protocol.spec.study import BASELINE, Study


@dataclass(frozen=True)
class PlanSummary:
    """Summary of what a study can and cannot decide, known before its first run.

    Attributes:
        tests: Tests corrected together, m (comparisons in one family).
        families: Number of such families.
        seeds: Planned number of seeds, n.
        smallest_p: Smallest two-sided p of one test with n seeds; 0 for the t test.
        can_decide: Whether any rejection is possible under Holm if all runs complete.
        minimum_seeds: Fewest seeds with which a rejection is possible.
        minimum_equivalence: Fewest seeds with which equivalence can be shown.
        detectable: Difference in standard deviations that is detected with 80 % power at alpha / m (paired t).
        detectable_uncorrected: The same at alpha.
        looks, spending: Seeds at the planned looks, and how alpha is spent. Detectable differences are for one look.
    """

    tests: int
    families: int
    seeds: int
    test: Test
    alpha: float
    delta: float
    family: str
    correction: str
    smallest_p: float
    can_decide: bool
    minimum_seeds: int
    detectable: float
    detectable_uncorrected: float
    looks: tuple[int, ...] = ()
    spending: Spending = "obrien-fleming"
    minimum_equivalence: int = 2

    def summary(self) -> str:
        """Return the summary in sentences."""
        if not self.tests:
            return "The plan has no strategy besides random: nothing is tested."
        per = "one family" if self.families == 1 else f"each of {self.families} families"
        lines = [
            f"{self.tests} test{'s' * (self.tests != 1)} in {per} ({self.family}), {self.correction}, "
            f"alpha {self.alpha:g}, n = {self.seeds} seeds, {self.test} test."
        ]
        if self.test != "t":
            lines.append(
                f"Smallest reachable p: {self.smallest_p:.3g} per test; "
                f"a first rejection needs {self.alpha / self.tests:.3g} or less."
            )
        if self.looks:
            lines.append(describe_looks(self.looks, self.spending, self.alpha))
        if not self.can_decide:
            lines.append(
                f"This plan can never call a strategy better or worse: it needs at least {self.minimum_seeds} seeds."
            )
        if self.seeds < self.minimum_equivalence:
            lines.append(
                f"This plan can never call a strategy equivalent: it needs at least {self.minimum_equivalence} seeds."
            )
        if math.isfinite(self.detectable):
            lines.append(
                f"Detectable with 80 % power: a difference of {self.detectable:.2f} standard deviations "
                f"of the paired difference ({self.detectable_uncorrected:.2f} if it were the only test)."
            )
        return "\n".join(lines)


def plan_summary(study: Study) -> PlanSummary:
    """Summarise the tests, reachable p and detectable effect of a planned study."""
    plan, n = study.plan, len(study.seeds)
    strategies = sum(s.id != BASELINE and not s.upper_line for s in study.strategies)
    together = plan.family == "strategies x protocols"
    m = strategies * (len(study.protocols) if together else 1)
    least = least_seeds(plan.test, max(m, 1), plan.alpha)
    return PlanSummary(
        tests=m,
        families=1 if together else len(study.protocols),
        seeds=n,
        test=plan.test,
        alpha=plan.alpha,
        delta=plan.delta,
        family=plan.family,
        correction=plan.correction.capitalize(),
        smallest_p=0.0 if plan.test == "t" else smallest_p(n),
        can_decide=m > 0 and n >= least,
        minimum_seeds=least,
        detectable=minimum_detectable_effect(n, plan.alpha / max(m, 1)),
        detectable_uncorrected=minimum_detectable_effect(n, plan.alpha),
        looks=plan.looks,
        spending=plan.spending,
        minimum_equivalence=least_seeds_equivalence(max(m, 1), plan.alpha),
    )
