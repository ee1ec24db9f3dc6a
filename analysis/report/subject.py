"""Gather what a report is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from analysis.figures import FigureInputs
from protocol.rules import Compliance
from protocol.spec.study import Study


@dataclass(frozen=True)
class Subject:
    """What is reported.

    Attributes:
        inputs: curves and verdicts.
        study, compliance: of a study folder; None for a table of curves, which says nothing of its protocol.
        pictures: image files of what was bought, e.g. contact sheets, each with a caption in a .txt file beside it, if any.
        toy: a rehearsal whose verdicts mean little.
    """

    inputs: FigureInputs
    study: Study | None = None
    compliance: Compliance | None = None
    pictures: tuple[Path, ...] = field(default=())
    toy: bool = False
