"""Compliance with the protocol: `check_study` answers per rule obeyed, broken, or cannot be verified."""

from protocol.rules.check import check_study
from protocol.rules.registry import GROUPS, RULES, rule
from protocol.rules.result import Compliance, Result
from protocol.rules.rule import Finding

__all__ = ["GROUPS", "RULES", "Compliance", "Finding", "Result", "check_study", "rule"]
