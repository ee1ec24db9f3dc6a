"""Compute the endpoint of a comparison: the area under the budget curve (AUBC), one number per run.

The area is computed by `analysis.statistics.area.aubc`. Budgets may be unevenly spaced, and usually are.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.loading.curves import Curves
from analysis.statistics.area import Scale, aubc


def endpoints(curves: Curves, scale: Scale = "linear") -> pd.DataFrame:
    """Compute the AUBC of every complete run.

    Args:
        curves: The curves; `curves.area` says how a curve becomes one number.
        scale: Integrate over labels or over their logarithm; the latter leaves out protocols whose budgets begin at 0.

    Returns:
        Columns protocol, strategy, seed, aubc; one row per run.
    """
    parts = []
    for protocol in curves.protocols:
        wide = matrix(curves, protocol)
        budgets = wide.columns.to_numpy(dtype=np.float64)
        if len(wide) and (scale == "linear" or budgets[0] > 0):
            area = aubc(budgets, wide.to_numpy(dtype=np.float64), scale, curves.area)
            parts.append(wide.index.to_frame(index=False).assign(protocol=protocol, aubc=area))
    columns = ["protocol", "strategy", "seed", "aubc"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def matrix(curves: Curves, protocol: str) -> pd.DataFrame:
    """Return a protocol's curves, not to be changed: one row per (strategy, seed), one column per budget."""
    return curves.matrices[protocol]
