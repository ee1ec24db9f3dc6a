"""Compute the area under a budget curve (AUBC)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.arrays import Floats

Scale = Literal["linear", "log2"]


def aubc(budgets: ArrayLike, values: ArrayLike, scale: Scale = "linear") -> Floats:
    """Compute the normalised area under each budget curve (AUBC).

    AUBC = sum_t (b[t+1] - b[t]) (a[t] + a[t+1]) / 2 / (b[T] - b[1]): the trapezoid rule divided by the range of
    budgets, so that a flat curve has its own value.

    Args:
        budgets: Labels paid for, shape (T,), T >= 1, positive and strictly increasing.
        values: Metric at each budget, shape (..., T), finite.
        scale: "linear" integrates over labels; "log2" over log2(labels), which weighs every doubling equally.

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
    if b[0] <= 0 or (np.diff(b) <= 0).any():
        raise ValueError(f"expected positive, strictly increasing budgets, found {b.tolist()}")
    if len(b) == 1:
        return np.array(a[..., 0])
    x = np.log2(b) if scale == "log2" else b
    return np.asarray(np.trapezoid(a, x, axis=-1) / (x[-1] - x[0]))


DECIMALS = 12
"""Decimals of differences: 0.3 - 0.2 and 0.2 - 0.1 must tie, because the exact tests count ties."""
