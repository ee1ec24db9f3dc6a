"""Put verdicts into sentences.

"Not significant" is never reported as "no difference": undecided means that the data cannot tell.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from analysis.formatting import numbers
from analysis.statistics.alpha_spending import describe_looks
from analysis.verdict import verdict_table
from analysis.verdict.comparison import Comparison, Verdict

TESTS: Final = {
    "sign-flip": "two-sided exact sign-flip test",
    "t": "two-sided paired t test",
    "wilcoxon": "two-sided Wilcoxon signed-rank test",
}
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
_ALONE: Final = {
    "better": "{strategy} beats {baseline}.",
    "worse": "{strategy} loses to {baseline}.",
    "equivalent": "{strategy} is equivalent to {baseline}.",
    "undecided": "Whether {strategy} beats {baseline} is undecided.",
}
"""The headline of a single comparison."""
SHOWN: Final = 10
"""Missing runs that are listed one by one."""


def summary(comparison: Comparison) -> str:
    """Return the headline, one sentence per verdict, the method, and the runs."""
    parts = [headline(comparison), *comparison.read_first, ""]
    parts += [f"- {v.protocol}: {sentence(v, comparison)}" for v in comparison.verdicts]
    parts += ["", method(comparison), runs(comparison)]
    return "\n".join(parts)


def headline(comparison: Comparison) -> str:
    """Return how many comparisons had which answer."""
    if not comparison.verdicts:
        return f"Nothing was compared: {comparison.baseline} is the only strategy."
    count = Counter(v.answer for v in comparison.verdicts)
    total = len(comparison.verdicts)
    if total == 1:
        only = comparison.verdicts[0]
        return _ALONE[only.answer].format(strategy=only.strategy, baseline=comparison.baseline)
    beat = f"In {count['better'] or 'none'} of {total} comparisons the strategy beats {comparison.baseline}"
    others = ", ".join(f"{count[answer]} {answer}" for answer in ("worse", "equivalent", "undecided") if count[answer])
    return f"{beat}; {others}." if others else f"{beat}."


def sentence(v: Verdict, comparison: Comparison) -> str:
    """Return one verdict with its numbers."""
    plan, baseline = comparison.plan, comparison.baseline
    if not v.n:
        return f"{v.strategy} is undecided: no {comparison.unit} is complete for both it and {baseline}."
    interval, seeds = verdict_table.interval(v), verdict_table.seeds(v)
    difference = f"difference {numbers.signed(v.difference)}, 95 % interval {interval}, n = {seeds}"
    figures = f"({difference}, adjusted p {numbers.p_value(v.p_adjusted)})"
    if v.answer in ("better", "worse"):
        verb = "beats" if v.answer == "better" else "loses to"
        within = f"; the difference is negligible, within ±{plan.delta:g}" if v.negligible else ""
        return f"{v.strategy} {verb} {baseline} {figures}{within}."
    if v.answer == "equivalent":
        q = f"adjusted p of equivalence {numbers.p_value(v.p_equivalence_adjusted)}"
        return f"{v.strategy} is equivalent to {baseline} within ±{plan.delta:g} ({difference}, {q})."
    return f"{v.strategy} is undecided {figures}{_what_would_decide(v, comparison)}."


def _what_would_decide(v: Verdict, comparison: Comparison) -> str:
    unit = comparison.unit
    if comparison.paired and v.n < comparison.least_seeds:
        never = f"; with {v.n} {unit}{'s' * (v.n > 1)} this test can never reject, it needs {comparison.least_seeds}"
    else:
        never = ""
    if v.seeds_to_decide is not None and v.seeds_to_decide > v.n:
        return f"{never}; about {v.seeds_to_decide} {unit}s would decide it"
    if v.seeds_to_decide is not None:
        return f"{never}; the true difference seems to lie near the margin, where more {unit}s help slowly"
    return never


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
    of = "area under the budget curve" if comparison.has_curves else "the value"
    pairs = (
        f"paired by {unit} (n = {_range(ns)})"
        if comparison.paired
        else f"unpaired (at least {_range(ns)} {unit}s per side)"
    )
    sides = "two one-sided t tests" if comparison.paired else "two one-sided Welch tests"
    looks = ""
    if plan.looks:
        spending = describe_looks(plan.looks, plan.spending, plan.alpha)
        looks = f" {spending} p are sequential; intervals are not adjusted for looks."
    controlled = ASSUMES[plan.correction].format(alpha=plan.alpha)
    return (
        f"{label}Endpoint: difference to {comparison.baseline} in {of}, {pairs}."
        f" Test: {test_name(comparison)}; {correction} over a family of {comparison.tests} ({_family(comparison)}),"
        f" alpha {plan.alpha:g}.{reach}{looks}"
        f" Equivalence: {sides} within ±{plan.delta:g}, {correction} over the same family;"
        f" wrong claims of a difference and wrong claims of equivalence each have {controlled}."
        f" 95 % {'t' if comparison.paired else 'Welch t'} intervals, not adjusted for multiple comparisons."
        f" {unit.capitalize()}s to decide: 80 % power to find a true difference of {plan.delta:g}, and to show"
        f" equivalence if it is 0, at alpha / {max(comparison.tests, 1)}, with the estimated spread."
    )


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


def runs(comparison: Comparison) -> str:
    """Return how many runs are analysed, and which are not."""
    lines = [
        f"Runs: {comparison.complete} of {comparison.planned} "
        f"{'expected' if comparison.exploratory else 'planned'} are complete and analysed."
    ]
    lines += [f"- left out: {m}" for m in comparison.missing[:SHOWN]]
    if len(comparison.missing) > SHOWN:
        lines.append(f"- and {len(comparison.missing) - SHOWN} more")
    lines += [f"- unpaired: {u}" for u in comparison.unmatched]
    lines += [f"- note: {n}" for n in comparison.notes]
    return "\n".join(lines)


def _range(ns: list[int]) -> str:
    return "0" if not ns else str(min(ns)) if min(ns) == max(ns) else f"{min(ns)} to {max(ns)}"
