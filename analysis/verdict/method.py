"""Say how a comparison was decided: endpoint, test, family, correction, margin."""

from __future__ import annotations

from typing import Final

from analysis.statistics.alpha_spending import describe_looks
from analysis.statistics.area import describe_area
from analysis.statistics.inversion import STRICTNESS
from analysis.verdict.comparison import Comparison

TESTS: Final = {
    "sign-flip": "two-sided exact sign-flip test",
    "t": "two-sided paired t test",
    "wilcoxon": "two-sided Wilcoxon signed-rank test",
}
INTERVALS: Final = {"sign-flip": "sign-flip", "wilcoxon": "signed-rank", "t": "t", "welch": "Welch t"}
"""Test that an interval was inverted from -> its name."""
CORRECTIONS: Final = {
    "holm": "Holm",
    "hochberg": "Hochberg",
    "hommel": "Hommel",
    "bh": "Benjamini-Hochberg",
    "by": "Benjamini-Yekutieli",
}
ASSUMES: Final = {
    "holm": "family-wise error at most {alpha:g}",
    "hochberg": "family-wise error at most {alpha:g} if the tests are positively dependent",
    "hommel": "family-wise error at most {alpha:g} if the tests are positively dependent",
    "bh": "false discovery rate at most {alpha:g} if the tests are positively dependent (not the family-wise error)",
    "by": "false discovery rate at most {alpha:g} (not the family-wise error)",
}


def controlled(comparison: Comparison) -> str:
    """Return the error rate that the correction controls, and what it assumes."""
    return ASSUMES[comparison.plan.correction].format(alpha=comparison.plan.alpha)


def method(comparison: Comparison) -> str:
    """Return endpoint, test, family, correction, margin, and what the numbers mean."""
    plan, unit, correction = comparison.plan, comparison.unit, CORRECTIONS[comparison.plan.correction]
    ns = [v.n for v in comparison.verdicts]
    label = "As planned before the first run. "
    if comparison.amended:
        times = f"{comparison.amended} time{'s' * (comparison.amended > 1)}"
        label = f"Exploratory: the plan was amended {times} after the study had started. "
    elif comparison.exploratory:
        label = "Exploratory: no plan was fixed before the first run. "
    reach = ""
    if plan.test != "t" and ns and comparison.paired:
        smallest = sorted({v.smallest_p for v in comparison.verdicts})
        ends = " to ".join(f"{p:.3g}" for p in (smallest[0], smallest[-1])[: len(smallest)])
        reach = f" Smallest reachable p: {ends} per test, before correction."
    of = describe_area(comparison.area) if comparison.has_curves else "the value"
    pairs = (
        f"paired by {unit} (n = {_range(ns)})"
        if comparison.paired
        else f"unpaired (at least {_range(ns)} {unit}s per side)"
    )
    level = f"{100 * (1 - 2 * plan.alpha / STRICTNESS):g} %"
    both = {"t": "the sign-flip and the paired t test", "wilcoxon": "the sign-flip and the signed-rank test"}
    tests = both.get(plan.test, "the sign-flip test")
    equal = f"a {level} interval, inverted from {tests if comparison.paired else 'the Welch test'},"
    looks = ""
    if plan.looks:
        spending = describe_looks(plan.looks, plan.spending, plan.alpha)
        looks = f" {spending} p are sequential; intervals are not adjusted for looks."
    return (
        f"{label}Endpoint: difference to {comparison.baseline} in {of}, {pairs}."
        f" Test: {test_name(comparison)}; {correction} over a family of {comparison.tests} ({_family(comparison)}),"
        f" alpha {plan.alpha:g}.{reach}{looks}"
        f" Equivalence: {equal} lies within ±{plan.delta:g}, {correction} over the same family;"
        f" wrong claims of a difference and wrong claims of equivalence each have {controlled(comparison)}."
        f"{_exactness(comparison)} {_intervals(comparison)}"
        f" {unit.capitalize()}s to settle a difference: 80 % power to find a true difference of {plan.delta:g},"
        f" and to show equivalence if it is 0, at alpha / {max(comparison.tests, 1)}, with the estimated spread."
    )


def _exactness(comparison: Comparison) -> str:
    """Return what the error rate of the sign-flip test assumes; empty for other tests."""
    if not comparison.paired or comparison.plan.test != "sign-flip":
        return ""
    return (
        " The sign-flip test is exact if the strategy behaves like the baseline; if it only leaves the mean unchanged"
        " and skews the differences, false alarms reached 10 % in real data (analysis/CALIBRATION.md)."
    )


def interval_names(comparison: Comparison) -> str:
    """Return the tests that the intervals of the verdicts were inverted from: "sign-flip", "sign-flip or t"."""
    used = {v.interval for v in comparison.verdicts}
    return " or ".join(INTERVALS[name] for name in INTERVALS if name in used) or "t"


def _intervals(comparison: Comparison) -> str:
    """Return which tests the 95 % intervals were inverted from."""
    used = {v.interval for v in comparison.verdicts}
    few = comparison.paired and comparison.plan.test != "t" and "t" in used
    why = " (t where there are too few seeds for an exact one)" if few else ""
    return f"95 % {interval_names(comparison)} intervals{why}, {unadjusted(comparison)}"


def unadjusted(comparison: Comparison) -> str:
    """Return what the 95 % intervals do not promise; they stay at 95 % whatever alpha is."""
    alpha = comparison.plan.alpha
    other = "" if alpha == 0.05 else f", and not at alpha {alpha:g}: a verdict may not match its interval"
    return f"not adjusted for multiple comparisons{other}."


def _family(comparison: Comparison) -> str:
    if comparison.group is not None:
        return f"the tests of each {comparison.group}"
    return (
        "all strategies and protocols together"
        if comparison.plan.family == "strategies x protocols"
        else "the strategies of each protocol"
    )


def test_name(comparison: Comparison) -> str:
    """Return the name of the test of the verdicts."""
    if not comparison.paired:
        return "two-sided Welch t test"
    if comparison.plan.test == "sign-flip" and any(v.p_error for v in comparison.verdicts):
        worst = max(v.p_error for v in comparison.verdicts)
        return (
            "two-sided sign-flip test (exact up to 16 seeds, beyond by simulation, "
            f"standard error of p at most {worst:.2g})"
        )
    return TESTS[comparison.plan.test]


def _range(ns: list[int]) -> str:
    return "0" if not ns else str(min(ns)) if min(ns) == max(ns) else f"{min(ns)} to {max(ns)}"
