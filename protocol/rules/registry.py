"""The rules of compliance, by id. A rule is added by writing its function and entering it in its group's `RULES`."""

from __future__ import annotations

from typing import Final

from protocol.errors import InputError, unknown_name
from protocol.rules import (
    budgets,
    claims,
    completeness,
    environments,
    evaluation,
    isolated,
    protocols,
    queries,
    replayed,
    seeding,
    splitting,
    training,
    tuned,
)
from protocol.rules.base import AnyRule

GROUPS: Final[dict[str, tuple[AnyRule, ...]]] = {
    "CMP": completeness.RULES,
    "PRO": protocols.RULES,
    "SPL": splitting.RULES,
    "BUD": budgets.RULES,
    "QRY": (*queries.RULES, *replayed.RULES),
    "SED": seeding.RULES,
    "EVL": evaluation.RULES,
    "TRN": tuple(sorted((*training.RULES, *tuned.RULES), key=lambda rule: rule.id)),  # those of tuning stand between the others
    "ISO": isolated.RULES,
    "ENV": environments.RULES,
    "STA": claims.RULES,
}
RULES: Final[dict[str, AnyRule]] = {rule.id: rule for rules in GROUPS.values() for rule in rules}


def rule(name: str) -> AnyRule:
    """The rule with this id. Raises InputError that lists the known ids, nearest first."""
    if name.upper() not in RULES:
        raise InputError(unknown_name("compliance rule", name.upper(), list(RULES)))
    return RULES[name.upper()]
