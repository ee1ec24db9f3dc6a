"""Learning curves in a few characters, for tables in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from analysis.loading.curves import Curves
from analysis.verdict.endpoint import matrix

BLOCKS: Final = "▁▂▃▄▅▆▇█"
WIDEST: Final = 10
"""Most characters per curve. Longer curves are thinned evenly, with both ends kept."""


def spark(values: Sequence[float], low: float, high: float) -> str:
    """Draw one block per value, from `low` to `high`. Values are clipped; NaN is a gap."""
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    heights = (np.clip(np.asarray(values, dtype=np.float64), low, high) - low) * scale
    return "".join(BLOCKS[round(h)] if np.isfinite(h) else " " for h in heights.tolist())


def mean_curves(curves: Curves, protocol: str) -> Mapping[str, str]:
    """Map each strategy to its mean curve over complete runs, all on one scale.

    Returns:
        An empty mapping if there is no curve with two budgets.
    """
    wide = matrix(curves, protocol)
    if wide.shape[1] < 2 or wide.empty:
        return {}
    means = wide.groupby(level="strategy", sort=False).mean()
    places = np.unique(np.linspace(0, means.shape[1] - 1, min(WIDEST, means.shape[1])).round().astype(int))
    low, high = float(np.nanmin(means.to_numpy())), float(np.nanmax(means.to_numpy()))
    return {
        str(strategy): spark(means.loc[strategy].to_numpy()[places].tolist(), low, high) for strategy in means.index
    }
