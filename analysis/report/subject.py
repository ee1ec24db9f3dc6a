"""What a report is about."""

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
        study, compliance: of a study folder; None for a table of curves, which does not state its protocol.
        pictures: image files of the purchases, e.g. contact sheets. A .txt file of the same name holds the caption.
        toy: the study is a rehearsal, whose verdicts mean little.
    """

    inputs: FigureInputs
    study: Study | None = None
    compliance: Compliance | None = None
    pictures: tuple[Path, ...] = field(default=())
    toy: bool = False
