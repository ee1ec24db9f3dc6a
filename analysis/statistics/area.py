"""Compute the area under a budget curve (AUBC)."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.arrays import Floats
from protocol.errors import Fault, InputError

Scale = Literal["linear", "log2"]


def area_of(area: str) -> Literal["trapezoid", "mean"] | float:
    """Return how a curve becomes one number: "trapezoid", "mean", or the number that a published area is divided by.

    Raises:
        InputError: It is neither `trapezoid`, `mean` nor `published-N` with N above 0.

    >>> area_of("mean"), area_of("published-10000")
    ('mean', 10000.0)
    """
    if area == "trapezoid" or area == "mean":
        return "trapezoid" if area == "trapezoid" else "mean"
    match = re.fullmatch(r"published-(\d{1,15}(?:\.\d{1,15})?)", area)
    if not match or float(match[1]) <= 0:
        expected = "trapezoid, mean, or published-N with the N that the paper divides by, e.g. published-10000"
        raise InputError(Fault("--aubc", expected, repr(area)))
    return float(match[1])


def describe_area(area: str) -> str:
    """Return in words how the values of a curve become one number.

    >>> describe_area("mean")
    'mean value over the budgets'
    """
    rule = area_of(area)
    if rule == "trapezoid":
        return "area under the budget curve"
    return "mean value over the budgets" if rule == "mean" else f"area under the budget curve divided by {rule:g}"


def aubc(budgets: ArrayLike, values: ArrayLike, scale: Scale = "linear", area: str = "trapezoid") -> Floats:
    """Compute the normalised area under each budget curve (AUBC).

    AUBC = sum_t (b[t+1] - b[t]) (a[t] + a[t+1]) / 2 / (b[T] - b[1]): the trapezoid rule divided by the range of
    budgets, so that a flat curve has its own value.

    Papers divide differently. "mean" is sum_t a[t] / T: every budget counts alike, however far apart. "published-N" is
    the sum above divided by N in the place of b[T] - b[1]; with another N than the range, a flat curve does not have
    its own value.

    Args:
        budgets: Labels paid for, shape (T,), T >= 1, at least 0 (for log2: above 0) and strictly increasing.
        values: Metric at each budget, shape (..., T), finite.
        scale: "linear" integrates over labels; "log2" over log2(labels), which weighs every doubling equally.
        area: "trapezoid", "mean" or "published-N"; the latter two only with scale "linear".

    Returns:
        Shape (...), in the metric's units and direction. With T = 1 it is the value itself.

    Raises:
        ValueError: A shape is wrong, budgets do not increase, or a value is not finite.

    >>> float(aubc([10, 20, 40], [0.4, 0.6, 0.8]))  # (10 * 0.5 + 20 * 0.7) / 30
    0.6333333333333333
    >>> round(float(aubc([10, 20, 40], [0.4, 0.6, 0.8], "log2")), 12)  # (0.5 + 0.7) / 2
    0.6
    """
    b, a = np.asarray(budgets, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if b.ndim != 1 or not len(b) or a.shape[-1:] != b.shape:
        raise ValueError(f"expected budgets (T,) and values (..., T), T >= 1, found {b.shape} and {a.shape}")
    if not (np.isfinite(b).all() and np.isfinite(a).all()):
        raise ValueError("expected finite budgets and values, found NaN or infinity")
    if b[0] < 0 or (scale == "log2" and b[0] == 0) or (np.diff(b) <= 0).any():
        least = "positive" if scale == "log2" else "non-negative"
        raise ValueError(f"expected {least}, strictly increasing budgets, found {b.tolist()}")
    if len(b) == 1:
        return np.array(a[..., 0])
    rule = area_of(area) if scale == "linear" else "trapezoid"
    if rule == "mean":
        return np.asarray(a.mean(axis=-1))
    x = np.log2(b) if scale == "log2" else b
    return np.asarray(np.trapezoid(a, x, axis=-1) / (rule if isinstance(rule, float) else x[-1] - x[0]))


DECIMALS = 12
"""Decimals of differences: 0.3 - 0.2 and 0.2 - 0.1 must tie, because the exact tests count ties."""
