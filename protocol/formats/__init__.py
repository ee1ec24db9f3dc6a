"""Result of a check in the formats that other programs and papers read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocol.formats.checklist import to_latex, to_markdown
from protocol.formats.ci import to_github, to_junit
from protocol.formats.sarif import to_sarif
from protocol.rules.result import Compliance

FORMATS: Final[dict[str, Callable[[Compliance], str]]] = {
    "json": Compliance.to_json,
    "sarif": to_sarif,
    "junit": to_junit,
    "github": to_github,
}
CHECKLISTS: Final[dict[str, Callable[[Compliance], str]]] = {"markdown": to_markdown, "latex": to_latex}

__all__ = ["CHECKLISTS", "FORMATS"]
