"""Amend a plan after the first run: the earlier plan and the reason are kept with the new one.

Error rates hold for the plan that was fixed in advance. They do not hold if, say, seeds are added because a verdict was
nearly significant. So an amended study is marked as amended wherever it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from protocol.digests import canonical_json
from protocol.errors import Fault, InputError
from protocol.record.layout import StudyFolder, write_atomically
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from protocol.strict_json import loads as load_json

_LARGEST: Final = 2**26


@dataclass(frozen=True)
class Amendment:
    """One change of plan.

    Attributes:
        time: ISO 8601, UTC.
        before: the plan that was replaced.
        after: fingerprint of the new plan.
    """

    time: str
    reason: str
    before: Study
    after: str


def read_amendments(folder: StudyFolder) -> tuple[Amendment, ...]:
    """Read all amendments, oldest first. Raises InputError if one cannot be read."""
    try:
        lines = folder.read(folder.amendments, _LARGEST).splitlines()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise InputError(Fault(str(folder.amendments), "a readable file", error.strerror or str(error))) from None
    return tuple(_amendment(line, f"{folder.amendments}:{number}") for number, line in enumerate(lines, start=1))


def _amendment(line: bytes, where: str) -> Amendment:
    try:
        table: Any = load_json(line)
        time, reason, after = (str(table[key]) for key in ("time", "reason", "after"))
        before = table["before"]
    except (ValueError, TypeError, KeyError) as error:
        expected = "an amendment: time, reason, before (a plan), after (a fingerprint)"
        raise InputError(
            Fault(where, expected, f"{type(error).__name__}: {error}"[:200], "restore the file from a copy")
        ) from None
    return Amendment(time, reason, parse(Study, before, f"{where}: before"), after)


def amend(folder: StudyFolder, study: Study, reason: str) -> Amendment:
    """Replace the plan of a study folder by `study`, and keep the earlier plan.

    Raises:
        InputError: no reason is given, or the plan is the same.
    """
    before = folder.read_plan()
    faults = []
    if not reason.strip():
        faults.append(
            Fault(
                "--reason",
                "why the plan is changed",
                "nothing",
                "give the reason in one sentence; it is shown with the results",
            )
        )
    if before.fingerprint == study.fingerprint:
        faults.append(
            Fault(
                str(folder.path),
                "a plan that differs from the present one",
                f"the same plan ({study.fingerprint[:12]})",
            )
        )
    if faults:
        raise InputError(faults)
    earlier = read_amendments(folder)
    amendment = Amendment(datetime.now(UTC).isoformat(timespec="seconds"), reason.strip(), before, study.fingerprint)
    line = canonical_json(
        {
            "time": amendment.time,
            "reason": amendment.reason,
            "before": before.model_dump(mode="json"),
            "after": amendment.after,
        }
    )
    history = folder.read(folder.amendments, _LARGEST) if earlier else b""
    write_atomically(
        folder.amendments, history + line + b"\n"
    )  # written first: a plan without its history would look forged
    write_atomically(folder.plan, canonical_json(study.content()) + b"\n")
    return amendment
