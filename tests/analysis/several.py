"""Build settings by hand or by simulation, for statistics over several data sets and regimes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from analysis.across.setting import Setting

BUDGETS = (100.0, 200.0, 400.0, 800.0)


def setting(
    values: Mapping[str, ArrayLike],
    budgets: Sequence[float] = BUDGETS,
    dataset: str = "one",
    regime: str = "plain",
    seeds: Mapping[str, Sequence[int]] | None = None,
) -> Setting:
    """Build a setting from curves (n, T) per strategy; seeds are 0, 1, ... unless given."""
    arrays = {name: np.atleast_2d(np.asarray(v, dtype=np.float64)) for name, v in values.items()}
    own = {name: tuple((seeds or {}).get(name, range(len(v)))) for name, v in arrays.items()}
    return Setting(f"{dataset}/{regime}", dataset, regime, np.asarray(budgets, dtype=np.float64), own, arrays)


def simulated(
    gains: Mapping[str, float],
    seeds: int = 8,
    dataset: str = "one",
    regime: str = "plain",
    level: float = 0.0,
    noise: float = 0.004,
) -> Setting:
    """Simulate rising curves; a seed shifts all strategies by the same amount."""
    rng = np.random.default_rng(abs(hash_of(dataset + regime)))
    base = 0.9 - 0.5 * np.exp(-np.asarray(BUDGETS) / 300) + level
    shared = rng.normal(0, 0.02, (seeds, 1))
    return setting(
        {s: base + g + shared + rng.normal(0, noise, (seeds, 4)) for s, g in gains.items()},
        dataset=dataset,
        regime=regime,
    )


def hash_of(text: str) -> int:
    """Return a hash that is the same in every process, unlike hash()."""
    return int.from_bytes(text.encode(), "big") % 2**32
