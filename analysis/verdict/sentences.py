"""Put verdicts into sentences.

"Not significant" is never reported as "no difference": undecided means that the data cannot tell.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from analysis.formatting import numbers
from analysis.statistics.area import describe_area
from analysis.statistics.corrections import adjust
from analysis.statistics.power import least_seeds, seeds_to_detect
from analysis.verdict import verdict_table
from analysis.verdict.comparison import Answer, Comparison, Verdict
from analysis.verdict.method import controlled, method, unadjusted
from analysis.verdict.scale import Scale, half_width, scale_of

ANSWERS: Final[tuple[Answer, ...]] = ("better", "worse", "equivalent", "undecided")
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
    """Return the headline, what was measured, one sentence per verdict, the method, and the runs."""
    parts = [headline(comparison), *comparison.read_first]
    if comparison.verdicts:
        parts.append(measured(comparison))
    parts += ["", *(f"- {v.protocol}: {sentence(v, comparison)}" for v in comparison.verdicts)]
    parts += ["", method(comparison), runs(comparison)]
    return "\n".join(parts)


def headline(comparison: Comparison) -> str:
    """Return how many comparisons had which answer, in which family, and how many keep it in one family over all."""
    if not comparison.verdicts:
        return f"Nothing was compared: {comparison.baseline} is the only strategy."
    total = len(comparison.verdicts)
    if total == 1:
        only = comparison.verdicts[0]
        return _ALONE[only.answer].format(strategy=only.strategy, baseline=comparison.baseline)
    own = counted(Counter(v.answer for v in comparison.verdicts))
    families = len({v.group for v in comparison.verdicts})
    if families == 1:
        return f"Of {total} comparisons with {comparison.baseline}: {own} ({controlled(comparison)} over all of them)."
    over_all = answers_over_all(comparison)
    kept = counted(over_all) if set(over_all) != {"undecided"} else "none is decided"
    return (
        f"Of {total} comparisons with {comparison.baseline}: {own}"
        f" ({controlled(comparison)} in each of {families} families: {scope(comparison)})."
        f" In one family over all {total}: {kept}."
    )


def scope(comparison: Comparison) -> str:
    """Return what makes a family of tests: one per protocol, data set or regime."""
    return f"one per {comparison.group or 'protocol'}"


def counted(count: Mapping[Answer, int]) -> str:
    """Return the counts of the answers that occur: "5 better, 3 undecided"."""
    return ", ".join(f"{count[answer]} {answer}" for answer in ANSWERS if count.get(answer))


def answers_over_all(comparison: Comparison) -> Counter[Answer]:
    """Count the answers that remain if all comparisons are corrected as one family.

    A larger family can only take answers away; a verdict that does not survive counts as undecided.
    """
    plan, verdicts = comparison.plan, comparison.verdicts
    different = adjust([v.p for v in verdicts], plan.correction)
    equal = adjust([v.p_equivalence for v in verdicts], plan.correction)
    kept: Counter[Answer] = Counter()
    for v, p, q in zip(verdicts, different, equal, strict=True):
        survives = q <= plan.alpha if v.answer == "equivalent" else p <= plan.alpha
        kept[v.answer if survives else "undecided"] += 1
    return kept


def measured(comparison: Comparison) -> str:
    """Return the endpoint, the margin of equivalence, the number of seeds, and what intervals are."""
    margins = {scale_of(v.protocol, comparison).margin(comparison.plan.delta) for v in comparison.verdicts}
    means = {"trapezoid": "averaged over the budget (", "mean": "averaged over the budgets ("}
    averaged = f"{means.get(comparison.area, 'summed over the budget (')}{describe_area(comparison.area)})"
    averaged = averaged if comparison.has_curves else "as given"
    return (
        f"Compared: values {averaged}; margin of equivalence {' or '.join(sorted(margins))}; {_seeds(comparison)}."
        f" 95 % intervals, {unadjusted(comparison)}"
    )


def _seeds(comparison: Comparison) -> str:
    ns = sorted({v.n for v in comparison.verdicts})
    count = f"{ns[0]}" if len(ns) == 1 else f"{ns[0]} to {ns[-1]}"
    unit = f"{comparison.unit}{'s' * (ns != [1])}"
    return f"{count} {'pairs of runs, one per ' + comparison.unit if comparison.paired and ns == [1] else unit}"


def sentence(v: Verdict, comparison: Comparison) -> str:
    """Return one verdict with its numbers."""
    baseline, plan = comparison.baseline, comparison.plan
    if not v.n:
        return f"{v.strategy} is undecided: no {comparison.unit} is complete for both it and {baseline}."
    scale = scale_of(v.protocol, comparison)
    if v.answer in ("better", "worse"):
        verb = "beats" if v.answer == "better" else "loses to"
        small = f" The whole interval lies within {scale.margin(plan.delta)}: the difference is negligible."
        return f"{v.strategy} {verb} {baseline}: {_figures(v, comparison, scale)}.{small if v.negligible else ''}"
    if v.answer == "equivalent":
        unseen = f" {_unseen(v, comparison)}" if comparison.paired else ""
        margin = scale.margin(plan.delta)
        return f"{v.strategy} is equivalent to {baseline} within {margin}: {_figures(v, comparison, scale)}.{unseen}"
    return f"{v.strategy} is undecided: {_figures(v, comparison, scale)}.{_what_would_decide(v, comparison, scale)}"


def _figures(v: Verdict, comparison: Comparison, scale: Scale) -> str:
    """Return difference, interval, n and p: "+4.2 accuracy points, averaged over the budget (95 % interval …)"."""
    width = half_width(v)
    difference = f"{scale.say(v.difference, width)} {scale.noun}".strip()
    said = {"trapezoid": ", averaged over the budget", "mean": ", averaged over the budgets"}
    averaged = said.get(comparison.area, f", {describe_area(comparison.area)}") if comparison.has_curves else ""
    bounded = math.isfinite(v.low) and math.isfinite(v.high)
    interval = f"95 % interval {scale.say(v.low, width)} to {scale.say(v.high, width)}" if bounded else "no interval"
    n = f"{verdict_table.pairs(v)} {comparison.unit}{'s' * (v.n != 1 or v.n != v.n_planned)}"
    equivalent = v.answer == "equivalent"
    p = v.p_equivalence_adjusted if equivalent else v.p_adjusted
    tested = f"adjusted p{' of equivalence' * equivalent} {numbers.p_value(p)}"
    return f"{difference}{averaged} ({interval}; {n}; {tested})"


def _unseen(v: Verdict, comparison: Comparison) -> str:
    """Return what so few seeds cannot rule out: the share of other outcomes whose absence has probability .05."""
    return f"What happens in fewer than {100 * v.excludable:.0f} % of {comparison.unit}s can have gone unseen."


def _what_would_decide(v: Verdict, comparison: Comparison, scale: Scale) -> str:
    """Return how many seeds would settle an undecided comparison, the smaller number first."""
    unit, plan = comparison.unit, comparison.plan
    said = []
    if comparison.paired and v.n < comparison.least_seeds:
        other = (
            "" if plan.test == "t" or unit != "seed" else "; --test t can, if it is right to assume normal differences"
        )
        said.append(
            f" With {v.n} {unit}{'s' * (v.n > 1)} this test can never decide:"
            f" it needs at least {comparison.least_seeds}{other}."
        )
    if v.resolution / 2 > plan.delta:
        finest = f"{v.resolution:g}"
        said.append(f" The values resolve steps of {finest}: a margin of {plan.delta:g} is finer than they can show.")
    tests = sum(other.group == v.group for other in comparison.verdicts)
    seen = _seeds_if_seen(v, comparison, tests)
    numbers_of: list[tuple[int, str]] = []
    if v.seeds_to_decide is not None and v.seeds_to_decide > v.n:
        margin = scale.margin(plan.delta).removeprefix("±")
        numbers_of.append((v.seeds_to_decide, f" To settle a difference as small as {margin}: about {{}} {unit}s."))
    if seen is not None and seen > v.n and abs(v.difference) >= plan.delta:  # smaller ones: the sentence above
        value = scale.say(v.difference, half_width(v))
        numbers_of.append((seen, f" If the true difference is what was seen ({value}): about {{}} {unit}s."))
    said += [text.format(_about(count)) for count, text in sorted(numbers_of)]
    return "".join(said)


def _about(count: int) -> str:
    """Return a number of seeds: two digits beyond 1,000."""
    return f"{round(count, -(len(str(count)) - 2)):,}" if count > 1000 else str(count)


def _seeds_if_seen(v: Verdict, comparison: Comparison, tests: int) -> int | None:
    """Return the seeds that give 80 % power if the true difference and its spread are those seen."""
    if not (math.isfinite(v.sd) and v.sd > 0 and v.difference):
        return None
    plan = comparison.plan
    test = plan.test if comparison.paired else "t"
    needed = seeds_to_detect(v.sd, abs(v.difference), plan.alpha / max(tests, 1))
    return None if needed is None else max(needed, least_seeds(test, max(tests, 1), plan.alpha))


def runs(comparison: Comparison) -> str:
    """Return how many runs are analysed, and which are not."""
    lines = [
        f"Runs: {comparison.complete} of {comparison.planned} "
        f"{'expected' if comparison.exploratory else 'planned'} are complete and analysed."
    ]
    lines += _listed("left out", [str(m) for m in comparison.missing])
    lines += [f"- unpaired: {u}" for u in comparison.unmatched]
    lines += [f"- note: {n}" for n in comparison.notes]
    return "\n".join(lines)


def _listed(label: str, items: Sequence[str]) -> list[str]:
    more = [f"- and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
    return [f"- {label}: {item}" for item in items[:SHOWN]] + more
