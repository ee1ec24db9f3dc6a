"""Robustness: answers of other analyses of the same runs.

All variants except the plan are exploratory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from analysis.loading.curves import Curves
from analysis.verdict.decide import compare
from protocol.spec.study import Plan


@dataclass(frozen=True)
class Variant:
    """Variant of the analysis: a plan, and the seeds to use (`None`: all)."""

    name: str
    plan: Plan
    seeds: tuple[int, ...] | None = None


def variants(plan: Plan, seeds: Sequence[int], deltas: Sequence[float] = (0.005, 0.02)) -> tuple[Variant, ...]:
    """Return the plan itself, other margins, tests and families, and either half of the seeds."""
    tests = [t for t in ("sign-flip", "t", "wilcoxon") if t != plan.test]
    families = [f for f in ("strategies", "strategies x protocols") if f != plan.family]
    half = len(seeds) // 2
    once = replace_plan(plan)
    return (
        Variant("as planned", once),
        *(Variant(f"margin {d:g}", replace_plan(plan, delta=d)) for d in deltas if d != plan.delta),
        *(Variant(f"{t} test", replace_plan(plan, test=t)) for t in tests),
        *(Variant(f"corrected over {f}", replace_plan(plan, family=f)) for f in families),
        Variant(f"first {half} seeds", once, tuple(seeds[:half])),
        Variant(f"other {len(seeds) - half} seeds", once, tuple(seeds[half:])),
    )


def replace_plan(plan: Plan, **changes: object) -> Plan:
    """Return the plan with changes, validated, and without looks.

    Looks belong to the planned number of seeds.
    """
    return Plan.model_validate(plan.model_dump() | {"looks": ()} | changes)


def restrict_seeds(curves: Curves, seeds: Sequence[int]) -> Curves:
    """Return the curves of these seeds only, as if no others had been planned."""
    kept = set(seeds)
    return replace(
        curves,
        frame=curves.frame[curves.frame["seed"].isin(kept)].reset_index(drop=True),
        planned=tuple(k for k in curves.planned if k.seed in kept),
        missing=tuple(m for m in curves.missing if m.run.seed in kept),
        bought={k: v for k, v in curves.bought.items() if k.seed in kept},
        reliability=curves.reliability[curves.reliability["seed"].isin(kept)].reset_index(drop=True),
    )


def answers(curves: Curves, variants: Sequence[Variant]) -> pd.DataFrame:
    """Return the answers: one row per comparison (protocol, strategy), one column per variant."""
    columns = {}
    for variant in variants:
        used = replace(
            curves if variant.seeds is None else restrict_seeds(curves, variant.seeds),
            plan=variant.plan,
            exploratory=True,
        )
        columns[variant.name] = {(v.protocol, v.strategy): v.answer for v in compare(used).verdicts}
    frame = pd.DataFrame(columns)
    frame.index.names = ["protocol", "strategy"]
    return frame


def changes(table: pd.DataFrame) -> pd.DataFrame:
    """Count answers of each variant that differ from the first column, and those reversed.

    An answer is reversed from better to worse or from worse to better.
    """
    planned = table.iloc[:, 0]
    opposite = {"better": "worse", "worse": "better"}
    rows = [
        {
            "variant": name,
            "comparisons": len(table),
            "other answer": int((table[name] != planned).sum()),
            "opposite answer": int((table[name] == planned.map(opposite)).sum()),
        }
        for name in table.columns[1:]
    ]
    return pd.DataFrame(rows)
