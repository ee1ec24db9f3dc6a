"""Curves per setting, that is, per data set and regime under one protocol.

Each strategy's curves are an array. Statistics over several data sets and regimes start from settings; nothing is
averaged or dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from analysis.loading.curves import Curves
from analysis.statistics.area import DECIMALS, aubc
from analysis.statistics.arrays import Floats
from analysis.verdict.endpoint import matrix


@dataclass(frozen=True)
class Setting:
    """Complete curves of one protocol.

    Attributes:
        budgets: labels, shape (T,), increasing.
        seeds: seeds by strategy, increasing, length n.
        curves: metric by strategy, shape (n, T), one row per seed in that order.
        area_rule: how the values of a curve become one number; see `Curves.area`.
    """

    protocol: str
    dataset: str
    regime: str
    budgets: Floats
    seeds: Mapping[str, tuple[int, ...]]
    curves: Mapping[str, Floats]
    area_rule: str = "trapezoid"

    def area(self, strategy: str) -> Floats:
        """Return the AUBC of each of the strategy's seeds, shape (n,)."""
        return self._areas(self.curves[strategy])

    def paired(self, strategy: str, other: str) -> tuple[Floats, Floats]:
        """Return curves of two strategies over their shared seeds, each (n, T); equal rows are equal seeds."""
        return paired_rows(self, strategy, self, other)

    def paired_areas(self, strategy: str, other: str) -> tuple[Floats, Floats]:
        """Return AUBC of two strategies over their shared seeds, each (n,), rounded so that equal areas tie."""
        ours, theirs = self.paired(strategy, other)
        return np.round(self._areas(ours), DECIMALS), np.round(self._areas(theirs), DECIMALS)

    def _areas(self, values: Floats) -> Floats:
        return aubc(self.budgets, values, area=self.area_rule)


def paired_rows(left: Setting, strategy: str, right: Setting, other: str) -> tuple[Floats, Floats]:
    """Return curves of strategies in two settings over their shared seeds.

    Each keeps its setting's budgets.
    """
    shared = sorted(set(left.seeds.get(strategy, ())) & set(right.seeds.get(other, ())))
    return _rows(left, strategy, shared), _rows(right, other, shared)


def _rows(setting: Setting, strategy: str, seeds: list[int]) -> Floats:
    if not seeds:
        return np.empty((0, len(setting.budgets)))
    return setting.curves[strategy][np.searchsorted(setting.seeds[strategy], seeds)]


def settings(curves: Curves) -> tuple[Setting, ...]:
    """Return one setting per protocol that has a complete run, in the study's order.

    A data set without a name gets the protocol's name, a regime without a name is "all".
    """
    made = []
    for protocol in curves.protocols:
        wide = matrix(curves, protocol)
        if not len(wide):
            continue
        values, seeds = {}, {}
        for name, own in wide.groupby(level="strategy", sort=False):
            one = own.droplevel("strategy").sort_index()
            seeds[str(name)] = tuple(int(s) for s in one.index)
            values[str(name)] = one.to_numpy(dtype=np.float64)
        dataset, regime = curves.places.get(protocol, ("", ""))
        made.append(
            Setting(
                protocol,
                dataset or protocol,
                regime or "all",
                wide.columns.to_numpy(dtype=np.float64),
                seeds,
                values,
                curves.area,
            )
        )
    return tuple(made)


def competing_settings(curves: Curves) -> tuple[Setting, ...]:
    """Return settings without oracle strategies, which are never compared."""
    return tuple(
        replace(
            s,
            seeds={n: v for n, v in s.seeds.items() if n not in curves.upper},
            curves={n: v for n, v in s.curves.items() if n not in curves.upper},
        )
        for s in settings(curves)
    )
