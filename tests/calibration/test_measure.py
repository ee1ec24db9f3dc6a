"""The simulated differences have the stated spread, and a procedure that misses its rate is reported."""

from __future__ import annotations

import numpy as np
import pytest

from tests.calibration.measure import measure
from tests.calibration.procedures import COVERAGE, TYPE_I, cover, curves_agree_with_their_formula, error


def test_spread_of_the_simulated_areas_is_the_stated_one() -> None:
    simulated, stated = curves_agree_with_their_formula(np.random.default_rng(1))
    assert simulated == pytest.approx(stated, rel=0.02)


def test_only_misses_are_flagged() -> None:
    rng = np.random.default_rng(2)
    assert measure(error("careless", lambda n, r: r.random() < 0.10, default=False), 5, 2000, rng).misses
    assert not measure(error("careful", lambda n, r: r.random() < 0.02, default=False), 5, 2000, rng).misses
    assert measure(cover("narrow", lambda n, r: r.random() < 0.90, default=False), 5, 2000, rng).misses
    assert not measure(cover("wide", lambda n, r: r.random() < 0.99, default=False), 5, 2000, rng).misses


@pytest.mark.parametrize(
    "procedure", [p for p in (*TYPE_I, *COVERAGE) if p.cost == 1 and p.default], ids=lambda p: p.name
)
def test_cheap_defaults_hold_their_rate_at_five_seeds(procedure) -> None:  # type: ignore[no-untyped-def]
    assert not measure(procedure, 5, 200, np.random.default_rng(3), errors=4).misses
