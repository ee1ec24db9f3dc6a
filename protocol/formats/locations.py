"""Where a finding is, for programs: a file beneath what was checked, and a line."""

from __future__ import annotations

import re
from pathlib import PurePath

from protocol.rules.result import Compliance

_LINE = re.compile(r"(.+):(\d{1,9})")


def place(result: Compliance, where: str) -> tuple[str, int]:
    """(file, line from 1); the file as seen from where the command was given, with forward slashes.

    Places that are no file beneath a study (a run's name, say) are the study's plan.
    """
    found = _LINE.fullmatch(where)
    file, line = (found[1], int(found[2])) if found else (where, 1)
    root = PurePath(result.path)
    if result.source in ("table", "indices"):
        return PurePath(file).as_posix(), max(1, line)
    known = file.split("/")[0] in ("records", "splits", "data", "oracle") or "." in PurePath(file).name
    return (root / (file if known else "study.json")).as_posix(), max(1, line)
