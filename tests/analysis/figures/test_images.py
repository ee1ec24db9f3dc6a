"""Every figure compared with a picture of it that a person has looked at.

The tolerance allows for fonts and hinting, but not for a line or mark in the wrong place. After an intended change, run

    BEATRANDOM_ACCEPT=1 uv run pytest tests/analysis/figures/test_images.py

and look at the pictures that git lists as changed.
"""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib.testing.compare import compare_images

from analysis.figures import FIGURES, StudyFigure, draw_figures
from analysis.figures.style import style_context
from tests.support.figure_inputs import make_inputs

SEEN = Path(__file__).parent / "seen"
TOLERANCE = 12.0
"""Root mean square over pixels, of 255."""


def test_all_look_as_seen(tmp_path: Path) -> None:
    faults = []
    for name, study_figure in draw_figures(make_inputs(3, ("one", "two"), ("plain", "augmented"))):
        assert isinstance(study_figure, StudyFigure), study_figure
        now = tmp_path / f"{name}.png"
        with style_context():
            study_figure.figure.savefig(now, dpi=60, metadata={"Software": None})
        if os.environ.get("BEATRANDOM_ACCEPT"):
            SEEN.mkdir(exist_ok=True)
            (SEEN / now.name).write_bytes(now.read_bytes())
        if other := compare_images(str(SEEN / now.name), str(now), TOLERANCE):
            faults.append(str(other))
    assert not faults, "\n".join(faults)
    assert {p.stem for p in SEEN.glob("*.png")} == set(FIGURES)
