"""Location of a finding for other programs: a file and a line."""

from __future__ import annotations

import re
from pathlib import PurePath

from protocol.rules.result import Compliance

_LINE = re.compile(r"(.+):(\d{1,9})")


def place(result: Compliance, where: str) -> tuple[str, int]:
    """Return the file, with forward slashes and relative to the working directory, and the line, from 1.

    A finding without a file, for example one about a run, is located in the study's plan.
    """
    match = _LINE.fullmatch(where)
    file, line = (match[1], int(match[2])) if match else (where, 1)
    root = PurePath(result.path)
    if result.source in ("table", "indices"):
        return PurePath(file).as_posix(), max(1, line)
    in_study = file.split("/")[0] in ("records", "splits", "data", "oracle") or "." in PurePath(file).name
    return (root / (file if in_study else "study.json")).as_posix(), max(1, line)
