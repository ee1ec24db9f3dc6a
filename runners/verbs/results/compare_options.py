"""Options of `compare`, `figures` and `report`: checked all at once, and applied to curves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self, get_args

from analysis.loading.curves import Curves, Group, Mismatch
from analysis.loading.metric_direction import apply_direction
from analysis.loading.records import load_study
from analysis.loading.table import load_table
from analysis.statistics.corrections import Correction
from analysis.statistics.hypothesis_tests import Test
from protocol.errors import Fault, InputError, unknown_name
from protocol.spec.study import BASELINE, Better, Plan

OVER_DATASETS: Final = "wilcoxon"
"""The test of tables whose pairs are data sets, unless another is requested (Demsar 2006)."""


FOR_ALL_PAIRS: Final = ("shaffer", "bergmann-hommel")
"""Corrections that need every pair of strategies (Garcia & Herrera 2008)."""


@dataclass(frozen=True)
class CompareOptions:
    """The options of `beatrandom compare`. An option that was not given is None or empty."""

    baseline: str = BASELINE
    metric: str | None = None
    test: str | None = None
    delta: float | None = None
    alpha: float | None = None
    correction: str | None = None
    group: str | None = None
    at: tuple[int, ...] = ()
    rho: float = 0.0
    mismatch: str = "list"
    column: tuple[str, ...] = ()
    wide: str | None = None
    higher_is_better: bool = False
    lower_is_better: bool = False
    keep_summary: bool = False

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Take options from the command line, where an option that was not given is None."""
        lists_as_tuples = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
        given: dict[str, Any] = {name: value for name, value in lists_as_tuples.items() if value is not None}
        return cls(**given)

    def faults(self) -> Iterator[Fault]:
        """Yield everything that is wrong with the options themselves."""
        choices = {
            "--test": (self.test, Test),
            "--correction": (self.correction, Correction),
            "--group": (self.group, Group),
            "--mismatch": (self.mismatch, Mismatch),
        }
        for option, (value, names) in choices.items():
            if value is not None and value not in get_args(names):
                yield _all_pairs_only(value) if value in FOR_ALL_PAIRS else unknown_name(option, value, get_args(names))
        if self.delta is not None and not 0 < self.delta < float("inf"):
            yield Fault("--delta", "a positive number in the metric's units", f"{self.delta:g}")
        if self.alpha is not None and not 0 < self.alpha < 1:
            yield Fault("--alpha", "a number between 0 and 1", f"{self.alpha:g}")
        if not 0 <= self.rho < 1:
            yield Fault("--rho", "a correlation of at least 0 and below 1", f"{self.rho:g}")
        elif self.rho and self.test not in (None, "t"):
            yield Fault(
                "--rho",
                "0 with an exact test, which needs independent differences",
                f"{self.rho:g} with the {self.test} test",
                "choose --test t, which is corrected for dependent folds, or leave out --rho",
            )
        elif self.rho and self.mismatch == "unpaired":
            yield Fault("--rho", "paired folds", "--mismatch unpaired", "leave out one of the two")
        if self.higher_is_better and self.lower_is_better:
            yield Fault("--higher-is-better", "one direction", "--lower-is-better too", "leave out one of them")
        for pair in self.column:
            if not all(pair.partition("=")):
                yield Fault("--column", "OURS=THEIRS, e.g. strategy=method", repr(pair))
        ours = [pair.partition("=")[0] for pair in self.column]
        if len(set(ours)) < len(ours):
            yield Fault("--column", "each of our names once", ", ".join(ours))

    @property
    def better(self) -> Better | None:
        """Return the direction that an option states."""
        if self.higher_is_better:
            return "higher"
        return "lower" if self.lower_is_better else None

    def plan(self, base: Plan) -> Plan:
        """Return `base`, changed by the given options."""
        test = "t" if self.rho and self.test is None else self.test  # the only test with a correction for dependence
        values = {"test": test, "delta": self.delta, "alpha": self.alpha, "correction": self.correction}
        return base.model_copy(update={name: value for name, value in values.items() if value is not None})

    def curves(self, source: Path) -> Curves:
        """Read the curves of a study folder or of a table, with the options applied.

        Raises:
            InputError: wrong options, or `source` has no usable curves.
        """
        faults = list(self.faults())
        if faults:
            raise InputError(faults)
        if source.is_dir():
            return replace(self._of_study(source), rho=self.rho)
        curves = load_table(
            source,
            metric=self.metric,
            baseline=self.baseline,
            plan=self.plan(Plan()),
            mismatch=self.mismatch,  # type: ignore[arg-type]  # checked above
            columns={ours: theirs for ours, _, theirs in (pair.partition("=") for pair in self.column)},
            wide=self.wide,
            group=self.group,  # type: ignore[arg-type]  # checked above
            better=self.better,
            keep_summary=self.keep_summary,
        )
        if curves.unit == "data set" and self.test is None and not self.rho:
            curves = replace(curves, plan=curves.plan.model_copy(update={"test": OVER_DATASETS}))
        return replace(curves, rho=self.rho)

    def _of_study(self, source: Path) -> Curves:
        planned = load_study(source)
        self._refuse_unusable(source, planned)
        used = planned.directions
        own = {p: used[p].metric if p in used else metric for p, metric in planned.metrics.items()}
        metrics = dict.fromkeys(own, self.metric) if self.metric is not None else own
        curves = replace(
            planned,
            plan=self.plan(planned.plan),
            baseline=self.baseline,
            metrics=metrics if metrics != own else planned.metrics,
            group=self.group or None,  # type: ignore[arg-type]  # checked when the options were read
        )
        differences = {
            "plan": curves.plan != planned.plan,
            "baseline": self.baseline != planned.baseline,
            "metric": metrics != own,
            "direction": self.better is not None and any(d.better != self.better for d in planned.directions.values()),
            "family": self.group is not None,
        }
        changed = [name for name, differs in differences.items() if differs]
        if not changed:
            return curves
        note = f"exploratory: changed after planning: {', '.join(changed)}"
        exploratory = replace(curves, exploratory=True, notes=(*planned.notes, note))
        if used and metrics == own and self.better is None:
            return exploratory
        return apply_direction(replace(exploratory, metrics=metrics, directions={}), self.better)

    def _refuse_unusable(self, source: Path, curves: Curves) -> None:
        """Refuse options that only tables have, and names that the study does not have."""
        table_only = {"--column": self.column, "--wide": self.wide, "--mismatch": self.mismatch != "list"}
        table_only |= {"--keep-summary": self.keep_summary}
        for option, given in table_only.items():
            if given:
                found = f"the study folder {source}, which has no gaps of this kind"
                raise InputError(Fault(option, "a table", found, f"leave out {option}"))
        names = {"--baseline": (self.baseline, curves.strategies)}
        if self.metric is not None:
            names["--metric"] = (self.metric, tuple(curves.frame["metric"].unique()))
        faults = [unknown_name(option, name, known) for option, (name, known) in names.items() if name not in known]
        if faults:
            raise InputError(faults)


def stem(source: Path) -> str:
    """Return the name of a table or packed study without its suffixes."""
    return source.stem.removesuffix(".tar")


def _all_pairs_only(correction: str) -> Fault:
    return Fault(
        "--correction",
        f"a correction of comparisons with the baseline: {', '.join(get_args(Correction))}",
        f"{correction}, which uses what all pairs of strategies say of one another",
        "choose holm, which it equals with one baseline; --details has it for all pairs over data sets",
    )
