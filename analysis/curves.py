"""Area under the budget curve (AUBC): the endpoint of a comparison, one number a run.

AUBC = sum_t (b[t+1] - b[t]) (a[t] + a[t+1]) / 2 / (b[T] - b[0]): the trapezoid rule over whatever
budgets there are, divided by their range, so that a flat curve has its own accuracy. Budgets are
unevenly spaced as a rule; nothing here assumes otherwise.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analysis.runs import Curves

Scale = Literal["linear", "log2"]


def aubc(budgets: ArrayLike, values: ArrayLike, scale: Scale = "linear") -> NDArray[np.float64]:
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


def endpoints(curves: Curves, scale: Scale = "linear") -> pd.DataFrame:
    """AUBC of every complete run.

    Returns:
        Columns protocol, strategy, seed, aubc; one row a run.
    """
    parts = []
    for protocol in curves.protocols:
        wide = matrix(curves, protocol)
        if len(wide):
            area = aubc(wide.columns.to_numpy(dtype=np.float64), wide.to_numpy(dtype=np.float64), scale)
            parts.append(wide.index.to_frame(index=False).assign(protocol=protocol, aubc=area))
    columns = ["protocol", "strategy", "seed", "aubc"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def matrix(curves: Curves, protocol: str) -> pd.DataFrame:
    """One protocol's curves in its primary metric: a row per (strategy, seed), a column per budget (increasing)."""
    frame = curves.frame
    own = frame[(frame["protocol"] == protocol) & (frame["metric"] == curves.metrics[protocol])]
    # pivot_table would average a run that is there twice; pivot refuses
    return own.pivot(index=["strategy", "seed"], columns="budget", values="value").sort_index(axis=1)  # noqa: PD010
