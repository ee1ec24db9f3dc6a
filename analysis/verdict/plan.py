"""Summarise what a plan can decide before anything is run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis.statistics.alpha_spending import Spending, describe_looks
from analysis.statistics.hypothesis_tests import Test, smallest_p
from analysis.statistics.power import least_seeds, minimum_detectable_effect
from protocol.spec.study import BASELINE, Study


@dataclass(frozen=True)
class PlanSummary:
    """What a study can and cannot decide, known before its first run.

    Attributes:
        tests: tests corrected together, m (comparisons in one family).
        families: how many such families.
        seeds: planned n.
        smallest_p: smallest two-sided p of one test with n seeds; 0 for the t test.
        can_decide: whether any Holm rejection is possible in a full study.
        minimum_seeds: fewest seeds with which one would be.
        detectable: difference in standard deviations found with 80 % power at alpha / m (paired t).
        detectable_uncorrected: the same at alpha.
        looks, spending: seeds at which is tested before the end, and how alpha is spent; detectable differences are for one look.
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

    def summary(self) -> str:
        """The same in sentences."""
        if not self.tests:
            return "The plan has no strategy besides random: nothing is tested."
        per = "one family" if self.families == 1 else f"each of {self.families} families"
        lines = [
            f"{self.tests} test{'s' * (self.tests != 1)} in {per} ({self.family}), {self.correction}, alpha {self.alpha:g}, n = {self.seeds} seeds, {self.test} test."
        ]
        if self.test != "t":
            lines.append(
                f"Smallest reachable p: {self.smallest_p:.3g} a test; a first rejection needs {self.alpha / self.tests:.3g} or less."
            )
        if self.looks:
            lines.append(describe_looks(self.looks, self.spending, self.alpha))
        if not self.can_decide:
            lines.append(
                f"This plan can never call a strategy better or worse: it needs at least {self.minimum_seeds} seeds."
            )
        if math.isfinite(self.detectable):
            lines.append(
                f"Detectable with 80 % power: a difference of {self.detectable:.2f} standard deviations of the paired difference "
                f"({self.detectable_uncorrected:.2f} if it were the only test)."
            )
        return "\n".join(lines)


def plan_summary(study: Study) -> PlanSummary:
    """Tests, reachable p and detectable effect of a study as planned."""
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
    )
