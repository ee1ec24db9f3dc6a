"""Correct p-values for multiple comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats

from analysis.statistics.arrays import Floats

Correction = Literal["holm", "hochberg", "hommel", "bh", "by"]


def adjust(p_values: Sequence[float], correction: Correction) -> Floats:
    """Adjusted p, shape (m,): reject where <= alpha.

    holm (1979): family-wise error under any dependence. hochberg (1988), hommel (1988): the same under positive
    dependence. bh (Benjamini & Hochberg 1995): false discovery rate under positive dependence; by (Benjamini &
    Yekutieli 2001): under any. Tests hold all five to statsmodels' `multipletests`, which collects garbage on every call.

    Raises:
        ValueError: a p outside [0, 1], or NaN.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():  # NaN is neither
        raise ValueError(f"expected p values in [0, 1], found {p[~((p >= 0) & (p <= 1))].tolist()}")
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
    """Of increasing p, by the algorithm of Wright (1992, Biometrics 48, appendix): Simes' test of every intersection, closed."""
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
    """Holm's step-down adjusted p (Holm 1979), shape (m,): reject where <= alpha; controls the family-wise error."""
    return adjust(p_values, "holm")
