from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.loading.curves import Curves
from analysis.loading.table import load_table
from protocol.record.layout import StudyFolder
from protocol.spec.study import Plan, Study
from tests.analysis.simulated import make_study, write_study


@pytest.fixture
def study() -> Study:
    return make_study(plan=Plan(family="strategies"))


@pytest.fixture
def folder(tmp_path: Path, study: Study) -> StudyFolder:
    """Write a study of six seeds and two protocols: good is +0.05 above random, bad -0.05 below."""
    return write_study(tmp_path / "study", study, {"good": 0.05, "bad": -0.05})


Table = Callable[..., Curves]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Return a function that loads CSV text; the header is strategy,seed,budget,value unless given."""

    def load(rows: str, header: str = "strategy,seed,budget,value", **options: object) -> Curves:
        path = tmp_path / "curves.csv"
        path.write_text(f"{header}\n{rows}", encoding="utf-8")
        return load_table(path, **options)  # type: ignore[arg-type]

    return load
