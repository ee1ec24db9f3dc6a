"""Correct p-values for multiple comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats

from analysis.statistics.arrays import Floats

Correction = Literal["holm", "hochberg", "hommel", "bh", "by"]


def adjust(p_values: Sequence[float], correction: Correction) -> Floats:
    """Adjust p-values for multiple comparisons.

    Tests compare all five corrections with statsmodels' `multipletests`, which is not used here because it runs the
    garbage collector on every call.

    Args:
        p_values: Raw p, shape (m,), in [0, 1].
        correction: What is controlled at alpha:
            holm (1979): the family-wise error, under any dependence.
            hochberg (1988), hommel (1988): the family-wise error, under positive dependence.
            bh (Benjamini & Hochberg 1995): the false discovery rate, under positive dependence.
            by (Benjamini & Yekutieli 2001): the false discovery rate, under any dependence.

    Returns:
        Adjusted p, shape (m,), in the order of `p_values`. Reject where it is at most alpha.

    Raises:
        ValueError: A p is outside [0, 1], or NaN.

    >>> adjust([0.01, 0.04, 0.03], "holm").tolist()  # 3 * 0.01, then 2 * 0.03, which 0.04 may not fall below
    [0.03, 0.06, 0.06]
    >>> adjust([0.01, 0.04, 0.03], "hochberg").tolist()  # from the largest: 0.04; 2 * 0.03 is capped by it
    [0.03, 0.04, 0.04]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():  # NaN is neither
        raise ValueError(f"expected p-values in [0, 1], found {p[~((p >= 0) & (p <= 1))].tolist()}")
    if not len(p):
        return p
    if correction in ("bh", "by"):
        return np.asarray(stats.false_discovery_control(p, method=correction), dtype=np.float64)
    order = np.argsort(p, kind="stable")
    ordered, m = p[order], len(p)
    left = m - np.arange(m)  # hypotheses not yet rejected
    if correction == "holm":
        stepped = np.maximum.accumulate(left * ordered)
    elif correction == "hochberg":
        stepped = np.minimum.accumulate((left * ordered)[::-1])[::-1]
    else:
        stepped = _hommel(ordered)
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _hommel(ordered: Floats) -> Floats:
    """Adjust increasing p by Hommel's method.

    It is the closed test with Simes' test of every intersection.

    The algorithm is that of Wright (1992, Biometrics 48, appendix).
    """
    m = len(ordered)
    adjusted = ordered.copy()
    for size in range(m, 1, -1):
        least = float((size * ordered[m - size + 1 :] / np.arange(2, size + 1)).min())
        adjusted[m - size + 1 :] = np.maximum(adjusted[m - size + 1 :], least)
        adjusted[: m - size + 1] = np.maximum(
            adjusted[: m - size + 1], np.minimum(size * ordered[: m - size + 1], least)
        )
    return adjusted


def holm(p_values: Sequence[float]) -> Floats:
    """Adjust p-values by Holm's step-down method (Holm 1979), which controls the family-wise error.

    >>> holm([0.01, 0.04]).tolist()  # 2 * 0.01, 1 * 0.04
    [0.02, 0.04]
    """
    return adjust(p_values, "holm")
