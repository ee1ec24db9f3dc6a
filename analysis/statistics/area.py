"""Compute the area under a budget curve (AUBC)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.arrays import Floats

Scale = Literal["linear", "log2"]


def aubc(budgets: ArrayLike, values: ArrayLike, scale: Scale = "linear") -> Floats:
    """Normalised area under curves over the budget; higher is better if the metric is so.

    Args:
        budgets: labels paid for, shape (T,), T >= 1, positive and strictly increasing.
        values: metric at each budget, shape (..., T), finite.
        scale: integrate over labels, or over log2(labels), which weighs every doubling alike.

    Returns:
        Shape (...), in the metric's units. With T = 1 there is no area: the value itself.

    Raises:
        ValueError: shapes, order or finiteness are not as said.
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
"""Differences are rounded here: 0.3 - 0.2 and 0.2 - 0.1 must tie, as the exact tests count ties."""
