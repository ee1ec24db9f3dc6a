"""STA: the results can support the claim that the plan makes."""

from __future__ import annotations

import itertools
import math

from protocol.rules.facts import Facts, StudyEvidence
from protocol.rules.rule import AnyRule, Observations, broken, study_rule, unverifiable
from protocol.spec.study import BASELINE, Plan

_FEWEST_FOR_T = 2


def seeds_needed(plan: Plan, tests: int) -> int:
    """Return the fewest paired differences with which the planned test can reject at all.

    The sign-flip test and the Wilcoxon signed-rank test of n differences reach no p below 2^(1 - n). Holm's first
    step needs p <= alpha / tests. The step-up procedures can reject if all tests reach p <= alpha, that of
    Benjamini and Yekutieli if all reach p <= alpha / (1 + 1/2 + … + 1/tests). A t test needs two differences.

    Args:
        plan: test, correction and alpha.
        tests: size of the family that is corrected together, >= 1.
    """
    if plan.test == "t":
        return _FEWEST_FOR_T
    harmonic = sum(1 / k for k in range(1, tests + 1))
    factor = {"holm": float(tests), "by": harmonic}.get(plan.correction, 1.0)
    return 1 + math.ceil(math.log2(factor / plan.alpha) - 1e-12)


@study_rule(
    "STA-01",
    "there are enough seeds for the planned test",
    why="with too few seeds an exact test can never reject, whatever the strategies do",
    evidence="seeds, strategies and plan of analysis",
    fix="plan more seeds (`beatrandom plan` says how many), fewer strategies, or a t test, which assumes normality",
    reads={"presence"},
    needs="plan",
)
def too_few_seeds(study: StudyEvidence) -> Observations:
    plan, strategies = study.study.plan, len(study.study.strategies) - 1
    tests = max(1, strategies * (len(study.study.protocols) if plan.family == "strategies x protocols" else 1))
    needed, seeds = seeds_needed(plan, tests), len(study.study.seeds)
    if seeds < needed:
        aim = f"a {plan.test} test can reach alpha = {plan.alpha:g} over {tests} tests ({plan.correction})"
        yield broken(
            study.source, f"at least {needed} seeds, so that {aim}", f"{seeds} seeds: no result can be significant"
        )


@study_rule(
    "STA-02",
    "no two seeds gave the same curve",
    severity="warning",
    why="a curve counted twice is one replicate that is taken for two",
    evidence="budgets and metrics of all rounds",
    fix="find out why the seed changed nothing; keep both runs in the study",
    reads={"curve", "peers"},
)
def repeated_curves(study: StudyEvidence) -> Observations:
    seen: dict[tuple[str, str, str], Facts] = {}
    for fact in study.facts:
        if fact.curve is None:
            continue
        first = seen.setdefault((fact.key.protocol, fact.key.strategy, fact.curve.value), fact)
        if first is not fact:
            expected = f"a curve different from that of seed {first.key.seed}"
            yield broken(fact.curve.where, expected, "the same budgets and metrics to the last digit", fact.key)


@study_rule(
    "STA-03",
    "random reaches its reference",
    severity="warning",
    why="most gains over random in the literature are gains over a weak random",
    evidence="the protocol's reference and random's metric in 'round' events",
    fix="look for what weakens training (too few steps, an unsuitable learning rate, different data); if the "
    "reference is "
    "wrong, say so",
    reads={"curve", "budgets"},
    needs="plan",
)
def baseline_off_reference(study: StudyEvidence) -> Observations:
    for protocol in study.study.protocols:
        if (reference := protocol.reference) is None:
            continue
        baseline = [f for f in study.facts if f.key.protocol == protocol.name and f.key.strategy == BASELINE]
        curves = [dict(f.baseline_curve) for f in baseline]
        targets: list[tuple[str, float, list[float]]] = [
            (f"at {budget} labels", value, [curve[int(budget)] for curve in curves if int(budget) in curve])
            for budget, value in reference.values.items()
        ]
        if reference.aubc is not None:
            areas = [_area(curve, protocol.budgets) for curve in curves if set(curve) >= set(protocol.budgets)]
            targets.append(("as the mean of the curve (AUBC)", reference.aubc, areas))
        for place, value, measured in targets:
            target = f"{place} within {reference.tolerance:g} of {value:g} ({reference.source})"
            expected = f"{protocol.name}: random's {protocol.metric} {target}"
            if not measured:
                yield unverifiable(study.source, expected, "no such round of random in the records")
            elif abs((mean := sum(measured) / len(measured)) - value) > reference.tolerance:
                yield broken(study.source, expected, f"{mean:.4f}, the mean of {len(measured)} seeds")


def _area(curve: dict[int, float], budgets: tuple[int, ...]) -> float:
    """Return the trapezoid area over the budgets divided by their range.

    At a single budget it is the value itself.
    """
    if len(budgets) == 1:
        return curve[budgets[0]]
    area = sum((b - a) * (curve[a] + curve[b]) / 2 for a, b in itertools.pairwise(budgets))
    return area / (budgets[-1] - budgets[0])


RULES: tuple[AnyRule, ...] = (too_few_seeds, repeated_curves, baseline_off_reference)
