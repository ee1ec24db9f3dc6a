"""Two one-sided tests (TOST, Schuirmann 1987): evidence that a difference is smaller than a margin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.significance import t_tail


@dataclass(frozen=True)
class Tost:
    """p of "difference <= -delta", of "difference >= delta", and the larger: equivalent if that one is small."""

    n: int
    delta: float
    p_low: float
    p_high: float

    @property
    def p(self) -> float:
        return max(self.p_low, self.p_high)


def tost(differences: ArrayLike, delta: float) -> Tost:
    """Paired TOST on differences, shape (n,), with margin `delta` > 0 in the same units.

    The same as the 1 - 2 alpha t interval lying inside (-delta, delta). With n < 2, p = 1. With zero spread
    the t statistic is undefined; the exact one-sided sign flip takes its place: p = 2^-n inside the margin.

    Raises:
        ValueError: delta is not positive.
    """
    if not delta > 0:
        raise ValueError(f"expected a positive margin, found {delta}")
    d = np.asarray(differences, dtype=np.float64)
    n = len(d)
    if n < 2:
        return Tost(n, delta, 1.0, 1.0)
    if np.ptp(d) <= 1e-12 * max(1.0, float(np.abs(d).max())):
        inside = 2.0**-n
        return Tost(n, delta, inside if d[0] > -delta else 1.0, inside if d[0] < delta else 1.0)
    mean, error = float(d.mean()), float(d.std(ddof=1) / np.sqrt(n))
    return Tost(n, delta, t_tail((mean + delta) / error, n - 1), t_tail((delta - mean) / error, n - 1))
