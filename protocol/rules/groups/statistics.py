"""STA: the numbers can carry the claim that the plan makes."""

from __future__ import annotations

import itertools
import math

from protocol.rules.evidence import Facts, StudyEvidence
from protocol.rules.rule import AnyRule, Observation, Observations, StudyRule, unverifiable
from protocol.spec.study import BASELINE, Plan

_FEWEST_FOR_T = 2


def seeds_needed(plan: Plan, tests: int) -> int:
    """The fewest paired differences with which the planned test can reject at all.

    The sign-flip and the Wilcoxon signed-rank test of n differences reach no p below 2^(1 - n). Holm's first
    step asks for p <= alpha / tests; the step-up procedures can reject if all tests reach p <= alpha, that of
    Benjamini and Yekutieli p <= alpha / (1 + 1/2 + … + 1/tests). A t test needs two differences.

    Args:
        plan: test, correction and alpha.
        tests: size of the family that is corrected together, >= 1.
    """
    if plan.test == "t":
        return _FEWEST_FOR_T
    harmonic = sum(1 / k for k in range(1, tests + 1))
    factor = {"holm": float(tests), "by": harmonic}.get(plan.correction, 1.0)
    return 1 + math.ceil(math.log2(factor / plan.alpha) - 1e-12)


def _seeds_suffice(study: StudyEvidence) -> Observations:
    plan, strategies = study.study.plan, len(study.study.strategies) - 1
    tests = max(1, strategies * (len(study.study.protocols) if plan.family == "strategies x protocols" else 1))
    needed, there = seeds_needed(plan, tests), len(study.study.seeds)
    if there < needed:
        expected = f"at least {needed} seeds, so that a {plan.test} test can reach alpha = {plan.alpha:g} over {tests} tests ({plan.correction})"
        yield Observation(study.source, expected, f"{there} seeds: no result whatever can be significant")


def _curves_differ_between_seeds(study: StudyEvidence) -> Observations:
    seen: dict[tuple[str, str, str], Facts] = {}
    for fact in study.facts:
        if fact.curve is None:
            continue
        first = seen.setdefault((fact.key.protocol, fact.key.strategy, fact.curve.value), fact)
        if first is not fact:
            expected = f"a curve of its own, unlike that of seed {first.key.seed}"
            yield Observation(
                fact.curve.where, expected, "the same budgets and metrics to the last digit", str(fact.key)
            )


def _random_reaches_its_reference(study: StudyEvidence) -> Observations:
    for protocol in study.study.protocols:
        if (reference := protocol.reference) is None:
            continue
        curves = [
            dict(f.reached) for f in study.facts if f.key.protocol == protocol.name and f.key.strategy == BASELINE
        ]
        wanted: list[tuple[str, float, list[float]]] = [
            (f"at {budget} labels", value, [curve[int(budget)] for curve in curves if int(budget) in curve])
            for budget, value in reference.values.items()
        ]
        if reference.aubc is not None:
            whole = [curve for curve in curves if set(curve) >= set(protocol.budgets)]
            wanted.append(
                ("as the mean of the curve (AUBC)", reference.aubc, [_area(curve, protocol.budgets) for curve in whole])
            )
        for place, value, found in wanted:
            expected = (
                f"random's {protocol.metric} {place} within {reference.tolerance:g} of {value:g} ({reference.source})"
            )
            if not found:
                yield unverifiable(
                    study.source, f"{protocol.name}: {expected}", "no such round of random in the records"
                )
            elif abs((mean := sum(found) / len(found)) - value) > reference.tolerance:
                yield Observation(
                    study.source, f"{protocol.name}: {expected}", f"{mean:.4f}, the mean of {len(found)} seeds"
                )


def _area(curve: dict[int, float], budgets: tuple[int, ...]) -> float:
    """Area by the trapezoid rule over the labels paid for, divided by their range; the value itself at a single budget."""
    if len(budgets) == 1:
        return curve[budgets[0]]
    area = sum((b - a) * (curve[a] + curve[b]) / 2 for a, b in itertools.pairwise(budgets))
    return area / (budgets[-1] - budgets[0])


RULES: tuple[AnyRule, ...] = (
    StudyRule(
        id="STA-01",
        title="there are enough seeds for the planned test",
        why="with too few seeds an exact test can never reject, whatever the strategies do",
        evidence="seeds, strategies and plan of analysis",
        fix="plan more seeds (`beatrandom plan` says how many), fewer strategies, or a t test with its assumption of normality",
        reads=frozenset({"presence"}),
        needs="plan",
        function=_seeds_suffice,
    ),
    StudyRule(
        id="STA-02",
        title="no two seeds gave the same curve",
        severity="warning",
        why="a curve counted twice is one replicate that pretends to be two",
        evidence="budgets and metrics of all rounds",
        fix="find out why the seed changed nothing; drop nothing from the study",
        reads=frozenset({"curve", "peers"}),
        function=_curves_differ_between_seeds,
    ),
    StudyRule(
        id="STA-03",
        title="random reaches what it is known to reach",
        severity="warning",
        why="most gains over random in the literature are gains over a weak random",
        evidence="the protocol's reference and random's metric in 'round' events",
        fix="look for what weakens training (too few steps, a rate that does not suit, other data); if the reference is wrong, say so",
        reads=frozenset({"curve", "budgets"}),
        needs="plan",
        function=_random_reaches_its_reference,
    ),
)
