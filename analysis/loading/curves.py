"""Input of every analysis: one tidy table of complete runs, and what is missing from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.formatting.tables import csv_text
from protocol.spec.run_id import RunId
from protocol.spec.study import BASELINE, Better, Plan

COLUMNS: Final = ("study", "protocol", "dataset", "regime", "strategy", "seed", "budget", "metric", "value")
COST_COLUMNS: Final = ("protocol", "strategy", "seed", "budget", "seconds", "memory")

Unit = Literal["seed", "data set"]
Group = Literal["protocol", "dataset", "regime"]
Mismatch = Literal["list", "drop", "refuse", "crop", "unpaired"]


Basis = Literal["name", "option", "study", "negated", "unknown"]


@dataclass(frozen=True)
class MetricDirection:
    """The direction that was used for a metric, and what it rests on.

    Attributes:
        metric: Name of the metric, as in the table or study.
        better: Whether higher or lower values of the metric are better.
        basis: Its name, an option, the study file, or nothing: an unknown name is taken as higher is better.
    """

    metric: str
    better: Better
    basis: Basis

    def __str__(self) -> str:
        reason = {
            "name": "known by its name",
            "option": "as stated by option",
            "study": "as stated in the study file",
            "negated": "of this metric lower is better, but no value is above 0, so they are taken as negated already",
            "unknown": "assumed: the name says nothing; if lower is better, add --lower-is-better",
        }[self.basis]
        return f"Metric {self.metric}: {self.better} is better ({reason})."


@dataclass(frozen=True)
class Missing:
    """A run that is not analysed, with the reason."""

    run: RunId
    reason: str
    planned: bool = True
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.run.protocol}/{self.run.strategy}/{self.unit or f'seed-{self.run.seed}'}: {self.reason}"


@dataclass(frozen=True)
class Curves:
    """Complete learning curves of one study.

    Attributes:
        frame: Complete runs only, with columns study, protocol, dataset, regime, strategy, seed, budget (labels),
            metric, value.
        study: Name of the study.
        plan: The analysis plan.
        exploratory: True unless the plan was fixed and fingerprinted with the study before the first run.
        planned: Every expected run, in the study's order.
        missing: Runs that are not analysed, each with its reason.
        metrics: Protocol -> primary metric (higher is better).
        baseline: The strategy that the others are compared with.
        notes: Changes made to the data on request (such as cropping), and reasons for amendments of the plan.
        amended: How often the plan was changed after the study had started; if ever, the result is exploratory.
        places: Protocol -> (data set, regime).
        unit: What pairs are made of. With "data set" (a table without seeds), the column seed numbers the data sets.
        units: Number -> name of the data set, if data sets are the pairs.
        mismatch: How gaps were handled; with "unpaired", nothing is paired.
        reliability: Columns of `analysis.loading.extract.BIN_COLUMNS`, for every run's last round; empty if no
            probabilities were stored.
        group: Tests are corrected together within each value of it; None means the plan's family.
        upper: Upper-line strategies, which saw labels that they had not bought. They are reported, never compared.
        costs: Columns protocol, strategy, seed, budget, seconds, memory (MiB) of every query; empty if unknown.
        bought: Run -> indices of the images whose labels its queries bought, in order. The initial set is included
            only if the strategy chose it. Empty if unknown.
        environments: Recorded environment (JSON) -> number of complete runs in it; empty if unknown.
        rho: Correlation between the differences of a pair: 0 for independent seeds, 1/k for k-fold cross-validation.
        currencies: Protocol -> what its budgets count: labels, regions, pixels or clicks; labels if not given.
        directions: Protocol -> direction of the primary metric, as it was used; empty before it is applied.
        warnings: Notes that must be read before the results: what was left out, assumed or cropped. They are not
            repeated in `notes`.
        steps: Protocol -> the metric's change if one test image is judged otherwise, where it is known: 1 / test images
            for accuracy. See `analysis.verdict.pairing.resolution`.
        area: How the values of a curve become one number: "trapezoid", "mean" or "published-N"; see
            `analysis.statistics.area.aubc`.
    """

    frame: pd.DataFrame
    study: str
    plan: Plan
    exploratory: bool
    planned: tuple[RunId, ...]
    missing: tuple[Missing, ...]
    metrics: Mapping[str, str]
    baseline: str = BASELINE
    notes: tuple[str, ...] = field(default=())
    amended: int = 0
    places: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    unit: Unit = "seed"
    units: Mapping[int, str] = field(default_factory=dict)
    mismatch: Mismatch = "list"
    reliability: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["protocol", "strategy", "seed"]))
    group: Group | None = None
    upper: frozenset[str] = frozenset()
    costs: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(COST_COLUMNS)))
    bought: Mapping[RunId, NDArray[np.int64]] = field(default_factory=dict)
    environments: Mapping[str, int] = field(default_factory=dict)
    currencies: Mapping[str, str] = field(default_factory=dict)
    rho: float = 0.0
    directions: Mapping[str, MetricDirection] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    steps: Mapping[str, float] = field(default_factory=dict)
    area: str = "trapezoid"

    @cached_property
    def protocols(self) -> tuple[str, ...]:
        """Return the protocols in the study's order."""
        return tuple(dict.fromkeys(k.protocol for k in self.planned))

    @cached_property
    def strategies(self) -> tuple[str, ...]:
        """Return the strategies in the study's order, the baseline first."""
        names = dict.fromkeys(k.strategy for k in self.planned)
        return (self.baseline, *(s for s in names if s != self.baseline))

    @cached_property
    def competitors(self) -> tuple[str, ...]:
        """Return the strategies without the upper lines."""
        return tuple(s for s in self.strategies if s not in self.upper)

    @cached_property
    def comparisons(self) -> tuple[tuple[str, str], ...]:
        """Return the planned (protocol, strategy) pairs, without the baseline and upper lines."""
        return tuple(
            dict.fromkeys(
                (k.protocol, k.strategy) for k in self.planned if k.strategy not in {self.baseline, *self.upper}
            )
        )

    @cached_property
    def matrices(self) -> Mapping[str, pd.DataFrame]:
        """Return each protocol's primary metric: one row per (strategy, seed), one column per budget.

        They are shared by all analyses, so they must not be changed in place.
        """
        columns = self.frame[["protocol", "strategy", "seed", "budget", "metric", "value"]]
        found = dict.fromkeys(self.protocols, _matrix(columns.iloc[:0]))
        for protocol, part in columns.groupby("protocol", sort=False):
            if protocol in found:
                found[str(protocol)] = _matrix(part[part["metric"] == self.metrics[str(protocol)]])
        return found

    @property
    def paired(self) -> bool:
        """Return whether differences are taken within seeds (or data sets)."""
        return self.mismatch != "unpaired"

    @cached_property
    def has_curves(self) -> bool:
        """Return whether any protocol has several budgets; if not, the endpoint is the value."""
        budgets = self.frame.groupby("protocol")["budget"]
        return bool((budgets.max() > budgets.min()).any())

    def group_of(self, protocol: str) -> str:
        """Return the family of tests that a protocol belongs to."""
        if self.group is None:
            return protocol if self.plan.family == "strategies" else ""
        dataset, regime = self.places.get(protocol, ("", ""))
        return {"protocol": protocol, "dataset": dataset, "regime": regime}[self.group]

    def currency(self, *protocols: str) -> str:
        """Return what the budgets of the given protocols count, by default of all, in the plural.

        For example "labels", or "labels or pixels" if protocols differ.
        """
        return (
            " or ".join(dict.fromkeys(self.currencies.get(p, "labels") for p in protocols or self.protocols))
            or "labels"
        )

    def unit_name(self, number: int) -> str:
        """Return the number of a seed as text, or the name of a data set."""
        return self.units.get(number, str(number))

    @property
    def complete(self) -> int:
        """Return how many of the planned runs are analysed."""
        return len(self.planned) - sum(m.planned for m in self.missing)

    def to_csv(self, path: Path) -> None:
        """Write the tidy table, which `load_table` can read."""
        Path(path).write_text(csv_text(self.frame), encoding="utf-8")


def _matrix(rows: pd.DataFrame) -> pd.DataFrame:
    # pivot refuses a repeated run, which pivot_table would average
    return rows.pivot(index=["strategy", "seed"], columns="budget", values="value").sort_index(axis=1)  # noqa: PD010
