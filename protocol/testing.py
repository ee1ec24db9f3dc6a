"""For other people's test suites: fail where the protocol was not obeyed.

from protocol.testing import assert_compliant

def test_our_results_obey_the_protocol():
    assert_compliant("results/study")
"""

from __future__ import annotations

from pathlib import Path

from protocol.foreign import check_record
from protocol.rules import Compliance, check_study

_SHOWN = 20


def assert_compliant(path: str | Path, *, undecidable: bool = False) -> Compliance:
    """Check a study folder or a single record.

    Args:
        path: study folder, or events.jsonl.
        undecidable: accept that something cannot be verified.

    Returns:
        The whole result, for further questions.

    Raises:
        AssertionError: a rule of severity error is broken (or, unless accepted, cannot be verified); says where and what to do.
        InputError: there is nothing to check.
    """
    place = Path(path)
    result = check_record(place) if place.is_file() else check_study(place)
    if result.answer == "broken" or (result.answer == "unverifiable" and not undecidable):
        told = [f for f in result.findings if f.severity == "error"]
        lines = [f"{f.rule} {f.where}: expected {f.expected}; found {f.found}. To do: {f.fix}." for f in told[:_SHOWN]]
        more = [f"… and {len(told) - _SHOWN} more"] if len(told) > _SHOWN else []
        raise AssertionError("\n".join([result.summary(), *lines, *more]))
    return result
