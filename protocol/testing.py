"""Check results in your own test suite: fail where the protocol was not obeyed.

from protocol.testing import assert_compliant

def test_our_results_obey_the_protocol():
    assert_compliant("results/study")
"""

from __future__ import annotations

from pathlib import Path

from protocol.foreign import check_record
from protocol.rules import Compliance, check_study

_SHOWN = 20


__all__ = ["assert_compliant"]


def assert_compliant(path: str | Path, *, undecidable: bool = False) -> Compliance:
    """Assert that a study folder or a single record obeys the protocol.

    Args:
        path: study folder, or events.jsonl.
        undecidable: accept rules that cannot be verified.

    Returns:
        The result of all rules.

    Raises:
        AssertionError: a rule of severity error is broken or, unless accepted, cannot be verified. The message says
            where, and what to do.
        InputError: the path holds nothing to check.
    """
    target = Path(path)
    result = check_record(target) if target.is_file() else check_study(target)
    if result.answer == "broken" or (result.answer == "unverifiable" and not undecidable):
        errors = [f for f in result.findings if f.severity == "error"]
        lines = [
            f"{f.rule} {f.where}: expected {f.expected}; found {f.found}. To do: {f.fix}." for f in errors[:_SHOWN]
        ]
        more = [f"… and {len(errors) - _SHOWN} more"] if len(errors) > _SHOWN else []
        raise AssertionError("\n".join([result.summary(), *lines, *more]))
    return result
