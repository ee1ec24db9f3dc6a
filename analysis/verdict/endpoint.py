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

    Returns:
        Columns protocol, strategy, seed, aubc; one row per run.
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
    """Return a protocol's curves, not to be changed: one row per (strategy, seed), one column per budget."""
    return curves.matrices[protocol]
