"""What analysis works on: one tidy table of complete runs, and what is missing from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocol.spec.run_id import RunId
from protocol.spec.study import BASELINE, Plan

COLUMNS: Final = ("study", "protocol", "dataset", "regime", "strategy", "seed", "budget", "metric", "value")
COST_COLUMNS: Final = ("protocol", "strategy", "seed", "budget", "seconds", "memory")

Unit = Literal["seed", "data set"]
Group = Literal["protocol", "dataset", "regime"]
Mismatch = Literal["list", "refuse", "crop", "unpaired"]


@dataclass(frozen=True)
class Missing:
    """A run that is not analysed, and why."""

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
        frame: columns study, protocol, dataset, regime, strategy, seed, budget (labels), metric, value; complete runs only.
        study: its name.
        plan: the analysis plan.
        exploratory: True unless the plan was fixed and fingerprint_content with the study before the first run.
        planned: every run that should be there, in the study's order.
        missing: runs that are not analysed, each with its reason.
        metrics: protocol -> primary metric (higher is better).
        baseline: the strategy that the others are compared with.
        notes: what was done to the data on request (cropping, say), and why the plan was amended.
        amended: how often the plan was changed after the study had started; if ever, the result is exploratory.
        places: protocol -> (data set, regime).
        unit: what pairs are made of. With "data set" (a table without seeds), the column seed numbers the data sets.
        units: number -> name of the data set, if data sets are the pairs.
        mismatch: how gaps were met; with "unpaired", nothing is paired.
        costs: columns protocol, strategy, seed, budget, seconds, memory (MiB) of every query; empty where unknown.
        upper: strategies that saw labels they had not bought: shown as lines, never compared.
        bought: run -> indices of the images whose labels its queries bought, in order; the initial set is not
            among them, unless the strategy chose it. Empty where unknown.
        currencies: protocol -> what its budgets count: labels, or regions, pixels or clicks; labels where it is not told.
        environments: environment as recorded (JSON) -> complete runs made in it; empty where unknown.
        reliability: columns of `analysis.loading.extract.BIN_COLUMNS`, of every run's last round; empty where no probabilities were kept.
        group: tests are corrected together within each value of this; None: as the plan's family says.
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

    @cached_property
    def protocols(self) -> tuple[str, ...]:
        """In the study's order."""
        return tuple(dict.fromkeys(k.protocol for k in self.planned))

    @cached_property
    def strategies(self) -> tuple[str, ...]:
        """In the study's order, the baseline first."""
        names = dict.fromkeys(k.strategy for k in self.planned)
        return (self.baseline, *(s for s in names if s != self.baseline))

    @cached_property
    def competitors(self) -> tuple[str, ...]:
        """`strategies` without the upper lines."""
        return tuple(s for s in self.strategies if s not in self.upper)

    @cached_property
    def comparisons(self) -> tuple[tuple[str, str], ...]:
        """Planned (protocol, strategy) pairs; the baseline and upper lines are left out."""
        return tuple(
            dict.fromkeys(
                (k.protocol, k.strategy) for k in self.planned if k.strategy not in {self.baseline, *self.upper}
            )
        )

    @property
    def paired(self) -> bool:
        """Whether differences are taken within seeds (or data sets)."""
        return self.mismatch != "unpaired"

    @cached_property
    def has_curves(self) -> bool:
        """Whether any protocol has more than one budget; else the endpoint is the value itself."""
        return bool(self.frame.groupby("protocol")["budget"].agg(lambda budgets: len(set(budgets)) > 1).any())

    def group_of(self, protocol: str) -> str:
        """The family of tests that a protocol belongs to."""
        if self.group is None:
            return protocol if self.plan.family == "strategies" else ""
        dataset, regime = self.places.get(protocol, ("", ""))
        return {"protocol": protocol, "dataset": dataset, "regime": regime}[self.group]

    def currency(self, *protocols: str) -> str:
        """What the budgets of some protocols count, of all by default, in the plural: "labels", or "labels or pixels" where they differ."""
        return (
            " or ".join(dict.fromkeys(self.currencies.get(p, "labels") for p in protocols or self.protocols))
            or "labels"
        )

    def unit_name(self, number: int) -> str:
        """A seed as its number, a data set by its name."""
        return self.units.get(number, str(number))

    @property
    def complete(self) -> int:
        """How many of the planned runs are analysed."""
        return len(self.planned) - sum(m.planned for m in self.missing)

    def to_csv(self, path: Path) -> None:
        """The tidy table; `load_table` reads it back."""
        self.frame.to_csv(path, index=False)
