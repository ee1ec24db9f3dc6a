"""Error rates on the most skewed real differences, with fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.calibration.real import drawn, populations

ALL = populations()
WORST = sorted(ALL, key=lambda d: abs(float(stats.skew(d))))[-6:]
STUDIES = 400


@pytest.mark.parametrize("n", [5, 7, 8, 10, 14])
def test_a_false_equivalent_is_as_rare_as_promised(n: int) -> None:
    shifts = [(d, side * delta, delta) for d in WORST for delta in (0.005, 0.01, 0.02) for side in (1, -1)]
    rates = [
        np.mean([e.equivalence <= 0.05 for e in drawn(d, n, STUDIES, shift, delta, 1)]) for d, shift, delta in shifts
    ]
    assert max(rates) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / STUDIES)
    assert n >= 7 or max(rates) == 0


@pytest.mark.parametrize("n", [6, 8, 10])
def test_false_alarms_and_coverage_are_those_on_the_page(n: int) -> None:
    found = [drawn(d, n, STUDIES, 0.0, 0.01, 2) for d in WORST]
    alarms = max(np.mean([e.test.p <= 0.05 for e in own]) for own in found)
    covered = min(np.mean([e.low <= 0 <= e.high for e in own]) for own in found)
    assert alarms <= 0.105 + 3 * 0.015
    assert covered >= 0.895 - 3 * 0.015
    assert len(ALL) == 108
