"""The compliance rules by id. To add a rule, write its function and enter it in its group's `RULES`."""

from __future__ import annotations

import copyreg
from typing import Final

from protocol.errors import InputError, unknown_name
from protocol.rules.groups import (
    budgets,
    completeness,
    environments,
    evaluation,
    fingerprints,
    isolation,
    queries,
    seeding,
    splits,
    statistics,
    training,
    tuning,
)
from protocol.rules.rule import AnyRule, RunRule, StudyRule

GROUPS: Final[dict[str, tuple[AnyRule, ...]]] = {
    "CMP": completeness.RULES,
    "PRO": fingerprints.RULES,
    "SPL": splits.RULES,
    "BUD": budgets.RULES,
    "QRY": queries.RULES,
    "SED": seeding.RULES,
    "EVL": evaluation.RULES,
    "TRN": tuple(sorted((*training.RULES, *tuning.RULES), key=lambda rule: rule.id)),  # tuning has TRN-06 to TRN-09
    "ISO": isolation.RULES,
    "ENV": environments.RULES,
    "STA": statistics.RULES,
}
RULES: Final[dict[str, AnyRule]] = {rule.id: rule for rules in GROUPS.values() for rule in rules}


def rule(name: str) -> AnyRule:
    """Return the rule with this id. Raises InputError that lists the known ids, nearest first."""
    if name.upper() not in RULES:
        raise InputError(unknown_name("compliance rule", name.upper(), list(RULES)))
    return RULES[name.upper()]


def _by_id(known: AnyRule) -> tuple[object, tuple[str]]:
    """Reduce a rule to its id: results travel between processes, and a decorated function cannot."""
    return rule, (known.id,)


copyreg.pickle(RunRule, _by_id)  # type: ignore[arg-type]
copyreg.pickle(StudyRule, _by_id)  # type: ignore[arg-type]
