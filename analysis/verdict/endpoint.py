"""Area under the budget curve (AUBC): the endpoint of a comparison, one number a run.

AUBC = sum_t (b[t+1] - b[t]) (a[t] + a[t+1]) / 2 / (b[T] - b[0]): the trapezoid rule over whatever
budgets there are, divided by their range, so that a flat curve has its own accuracy. Budgets are
unevenly spaced as a rule; nothing here assumes otherwise.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.loading.curves import Curves
from analysis.statistics.area import Scale, aubc


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
