"""A plan may change after the first run, openly: the earlier plan and the reason stay beside the new one.

What is added after a look at the results (seeds, say, because a verdict was nearly significant) is no
longer what the error rates were promised for. So an amended study is marked as amended wherever it is shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from protocol.digests import canonical_json
from protocol.errors import Fault, InputError
from protocol.record.layout import StudyFolder, write_atomically
from protocol.safe_read import read_bytes
from protocol.spec.study import Study
from protocol.spec.toml_files import parse


@dataclass(frozen=True)
class Amendment:
    """One change of plan: when (ISO 8601, UTC), why, from which plan to the plan with which fingerprint."""

    time: str
    reason: str
    before: Study
    after: str


def read_amendments(folder: StudyFolder) -> tuple[Amendment, ...]:
    """All amendments, oldest first; none if there is no such file. Raises InputError if one cannot be read."""
    try:
        lines = read_bytes(folder.amendments).splitlines()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise InputError(Fault(str(folder.amendments), "a readable file", error.strerror or str(error))) from None
    return tuple(_amendment(line, f"{folder.amendments}:{number}") for number, line in enumerate(lines, start=1))


def _amendment(line: bytes, where: str) -> Amendment:
    try:
        table: Any = json.loads(line)
        time, reason, after = (str(table[key]) for key in ("time", "reason", "after"))
        before = table["before"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        expected = "an amendment: time, reason, before (a plan), after (a fingerprint)"
        raise InputError(
            Fault(where, expected, f"{type(error).__name__}: {error}"[:200], "restore the file from a copy")
        ) from None
    return Amendment(time, reason, parse(Study, before, f"{where}: before"), after)


def amend(folder: StudyFolder, study: Study, reason: str) -> Amendment:
    """Replace the plan of a study folder by `study`, and keep the plan it replaces.

    Raises:
        InputError: no reason is given, or the plan is the same.
    """
    before = folder.read_plan()
    faults = []
    if not reason.strip():
        faults.append(
            Fault(
                "--reason", "why the plan is changed", "nothing", "say it in a sentence; it is shown with the results"
            )
        )
    if before.fingerprint == study.fingerprint:
        faults.append(
            Fault(
                str(folder.path),
                "a plan that differs from the one in force",
                f"the same plan ({study.fingerprint[:12]})",
            )
        )
    if faults:
        raise InputError(faults)
    kept = read_amendments(folder)
    made = Amendment(datetime.now(UTC).isoformat(timespec="seconds"), reason.strip(), before, study.fingerprint)
    line = canonical_json(
        {"time": made.time, "reason": made.reason, "before": before.model_dump(mode="json"), "after": made.after}
    )
    there = folder.amendments.read_bytes() if kept else b""
    write_atomically(
        folder.amendments, there + line + b"\n"
    )  # first: a plan without its history would look like a forgery
    write_atomically(folder.plan, canonical_json(study.model_dump(mode="json")) + b"\n")
    return made
