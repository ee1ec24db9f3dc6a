"""Pair strategies with the baseline by seed.

The same seed has the same split, initial set and initial weights.

If the protocol lets strategies choose their initial sets, pairs share only split and weights. A difference is then that
of the initial set and the queries together. The paired test stays valid, but pairs have less variation in common.

The order of rows or files never matters. A seed that only one side has is listed, not used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from analysis.loading.curves import Curves
from analysis.statistics.area import DECIMALS, Scale
from analysis.statistics.arrays import Floats
from analysis.verdict.endpoint import endpoints, matrix

PRINTED: Final = 4
"""Values with more decimals are taken for unrounded."""


@dataclass(frozen=True)
class Paired:
    """Values of one strategy and of the baseline under one protocol.

    Attributes:
        seeds: Shared seeds, increasing, length n.
        strategy_values, baseline_values: Endpoint per seed, shape (n,). In an unpaired analysis they are all values of
            each side, their lengths may differ, and `differences` has no meaning.
        unmatched: Seeds that only one of the two has.
        resolution: Smallest difference that the metric shows, see `resolution`.
    """

    protocol: str
    strategy: str
    seeds: tuple[int, ...]
    strategy_values: Floats
    baseline_values: Floats
    unmatched: tuple[int, ...] = ()
    resolution: float = 0.0

    @property
    def differences(self) -> Floats:
        """Return strategy minus baseline per seed, shape (n,); positive: the strategy is better."""
        return np.round(self.strategy_values - self.baseline_values, DECIMALS)


def pair(strategy: pd.Series, baseline: pd.Series) -> tuple[pd.DataFrame, tuple[int, ...]]:
    """Join two series of values by seed.

    Returns:
        Columns strategy and baseline, one row per shared seed; and the seeds without a partner.

    Raises:
        ValueError: A seed occurs twice on one side.
    """
    for name, side in (("strategy", strategy), ("baseline", baseline)):
        if side.index.has_duplicates:
            repeated = sorted(set(side.index[side.index.duplicated()]))
            raise ValueError(f"expected every seed once, found {repeated} more than once in the {name}")
    if strategy.index.equals(baseline.index):
        both = pd.DataFrame({"strategy": strategy, "baseline": baseline}).sort_index()
    else:
        both = pd.concat({"strategy": strategy, "baseline": baseline}, axis=1, join="inner").sort_index()
    alone = tuple(int(s) for s in sorted(set(strategy.index) ^ set(baseline.index)))
    return both, alone


def paired_endpoints(curves: Curves, scale: Scale = "linear") -> list[Paired]:
    """Pair the AUBC of every planned strategy with the baseline's; n = 0 if no seed is shared."""
    return paired_values(curves, endpoints(curves, scale).rename(columns={"aubc": "value"}))


def paired_values(curves: Curves, by_run: pd.DataFrame) -> list[Paired]:
    """Pair any value per run: `by_run` has columns protocol, strategy, seed, value."""

    own = {
        (str(protocol), str(strategy)): part.set_index("seed")["value"].sort_index()
        for (protocol, strategy), part in by_run.groupby(["protocol", "strategy"], sort=False)
    }
    nothing = pd.Series(dtype=np.float64)

    def of(protocol: str, strategy: str) -> pd.Series:
        return own.get((protocol, strategy), nothing)

    finest = {protocol: resolution(curves, protocol) for protocol in curves.protocols}
    return [
        replace(
            pair_sides(protocol, strategy, of(protocol, strategy), of(protocol, curves.baseline), paired=curves.paired),
            resolution=finest[protocol],
        )
        for protocol, strategy in curves.comparisons
    ]


def resolution(curves: Curves, protocol: str) -> float:
    """Return the smallest difference that the values of a protocol can show; no interval is narrower.

    It is the step of one test image where the size of the test set is known (`Curves.steps`), as in studies whose
    metric is accuracy. Otherwise it is read from the values: a unit of the last decimal if they have at most `PRINTED`
    decimals, else the smallest gap between distinct values (for an accuracy 1 / test images, or a multiple).
    """
    if (step := curves.steps.get(protocol)) is not None:
        return step
    own = matrix(curves, protocol).to_numpy(dtype=np.float64)
    values = np.unique(np.round(own[~np.isnan(own)], DECIMALS))
    for decimals in range(PRINTED + 1):
        if np.allclose(values, np.round(values, decimals), rtol=0, atol=0.5 * 10.0**-DECIMALS):
            return float(10.0**-decimals) if len(values) else 0.0
    return float(np.diff(values).min()) if len(values) > 1 else float(10.0**-DECIMALS)


def pair_sides(protocol: str, strategy: str, ours: pd.Series, random: pd.Series, *, paired: bool) -> Paired:
    """Build a `Paired` from series indexed by seed: shared seeds, or all values if not paired."""
    if paired:
        return _paired(protocol, strategy, ours, random)
    x, y = (np.round(side.sort_index().to_numpy(dtype=np.float64), DECIMALS) for side in (ours, random))
    return Paired(protocol, strategy, tuple(int(s) for s in sorted({*ours.index, *random.index})), x, y)


def _paired(protocol: str, strategy: str, ours: pd.Series, random: pd.Series) -> Paired:
    both, alone = pair(ours, random)
    return Paired(
        protocol,
        strategy,
        tuple(int(s) for s in both.index),
        both["strategy"].to_numpy(dtype=np.float64),
        both["baseline"].to_numpy(dtype=np.float64),
        alone,
    )


def paired_curves(curves: Curves, protocol: str, strategy: str) -> pd.DataFrame:
    """Return strategy minus baseline: one row per shared seed (n), one column per budget (T)."""
    wide = matrix(curves, protocol)
    names = wide.index.get_level_values("strategy")
    ours, random = (wide[names == name].droplevel("strategy") for name in (strategy, curves.baseline))
    shared = ours.index.intersection(random.index).sort_values()
    return (ours.loc[shared] - random.loc[shared]).round(DECIMALS)
