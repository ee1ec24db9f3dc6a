"""Count how often an event happens over simulated studies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.statistics.hypothesis_tests import ENUMERATED
from tests.calibration.procedures import Procedure

NS = (3, 5, 10, 20)


@dataclass(frozen=True)
class Cell:
    """A measured rate, its standard error, and whether it misses the nominal rate.

    The standard error is that at the nominal or at the measured rate, whichever is larger.
    """

    rate: float
    standard_error: float
    nominal: float
    misses: bool


def measure(procedure: Procedure, n: int, resamples: int, rng: np.random.Generator, errors: float = 3.0) -> Cell:
    """Simulate studies of n seeds and count events.

    There are `resamples` studies, divided by the procedure's cost. A miss is more than `errors` standard errors.
    """
    slower = 4 if procedure.flips and n > ENUMERATED else 1
    count = max(100, resamples // (procedure.cost * slower))
    rate = sum(procedure.event(n, rng) for _ in range(count)) / count
    nominal = procedure.nominal(n)
    error = float(np.sqrt(max(rate * (1 - rate), nominal * (1 - nominal)) / count))
    if procedure.exact:
        misses = abs(rate - nominal) > errors * error
    else:
        misses = rate > nominal + errors * error if nominal < 0.5 else rate < nominal - errors * error
    return Cell(rate, error, nominal, misses)
