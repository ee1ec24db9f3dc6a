"""Every figure beside a picture of it that a person has looked at.

Tolerant of fonts and hinting: what is compared is small, and a line or mark in another place is not small. After a wanted
change: BEATRANDOM_ACCEPT=1 uv run pytest tests/analysis/figures/test_images.py, then look at what git says has changed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from figure_material import material
from matplotlib.testing.compare import compare_images

from analysis.figures import FIGURES, Material, Plate
from analysis.figures.style import applied

SEEN = Path(__file__).parent / "seen"
TOLERANCE = 12.0
"""Root mean square over pixels, of 255."""


@pytest.fixture(scope="module")
def made() -> Material:
    return material(3, ("one", "two"), ("plain", "augmented"))


@pytest.mark.parametrize("name", FIGURES)
def test_looks_as_seen(made: Material, name: str, tmp_path: Path) -> None:
    plate = FIGURES[name](made)
    assert isinstance(plate, Plate)
    now = tmp_path / f"{name}.png"
    with applied():
        plate.figure.savefig(now, dpi=60, metadata={"Software": None})
    if os.environ.get("BEATRANDOM_ACCEPT"):
        SEEN.mkdir(exist_ok=True)
        (SEEN / now.name).write_bytes(now.read_bytes())
    assert compare_images(str(SEEN / now.name), str(now), TOLERANCE) is None
