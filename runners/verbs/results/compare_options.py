"""Options of `compare`, `figures` and `report`: checked all at once, and applied to curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self, get_args

from analysis.loading.curves import Curves, Group, Mismatch
from analysis.loading.metric_direction import apply_direction
from analysis.loading.records import load_study
from analysis.loading.sources import NameFrom, TableFiles, files_in, together
from analysis.loading.table import load_table
from analysis.statistics.area import area_of
from analysis.statistics.corrections import Correction
from analysis.statistics.hypothesis_tests import Test
from protocol.errors import Fault, InputError, unknown_name
from protocol.record.layout import StudyFolder
from protocol.spec.study import BASELINE, Better, Plan

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
    name_from: str | None = None
    sheet: str | None = None
    aubc: str = "trapezoid"
    test_size: int | None = None

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
            "--name-from": (self.name_from, NameFrom),
        }
        for option, (value, names) in choices.items():
            if value is not None and value not in get_args(names):
                yield _all_pairs_only(value) if value in FOR_ALL_PAIRS else unknown_name(option, value, get_args(names))
        yield from self._numeric_faults()
        if self.higher_is_better and self.lower_is_better:
            yield Fault("--higher-is-better", "one direction", "--lower-is-better too", "leave out one of them")
        for pair in self.column:
            if not all(pair.partition("=")):
                yield Fault("--column", "OURS=THEIRS, e.g. strategy=method", repr(pair))
        ours = [pair.partition("=")[0] for pair in self.column]
        if len(set(ours)) < len(ours):
            yield Fault("--column", "each of our names once", ", ".join(ours))

    def _numeric_faults(self) -> Iterator[Fault]:
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
        if self.test_size is not None and self.test_size < 1:
            yield Fault("--test-size", "a number of images of at least 1", f"{self.test_size}")
        try:
            area_of(self.aubc)
        except InputError as error:
            yield from error.faults

    @property
    def better(self) -> Better | None:
        """Return the direction that an option states."""
        if self.higher_is_better:
            return "higher"
        return "lower" if self.lower_is_better else None

    @property
    def columns(self) -> dict[str, str]:
        """Return our column name -> the table's name, as given by --column."""
        return {ours: theirs for ours, _, theirs in (pair.partition("=") for pair in self.column)}

    def plan(self, base: Plan) -> Plan:
        """Return `base`, changed by the given options."""
        test = "t" if self.rho and self.test is None else self.test  # the only test with a correction for dependence
        values = {"test": test, "delta": self.delta, "alpha": self.alpha, "correction": self.correction}
        return base.model_copy(update={name: value for name, value in values.items() if value is not None})

    def refuse_faults(self) -> None:
        """Raise InputError if options are wrong."""
        faults = list(self.faults())
        if faults:
            raise InputError(faults)

    def is_study(self, *sources: Path) -> bool:
        """Return whether the source is one study folder; with --name-from, folders hold tables."""
        return len(sources) == 1 and sources[0].is_dir() and self.name_from is None

    def files(self, paths: Sequence[Path]) -> TableFiles:
        """Return files that are one table with what the options say about them."""
        # name_from is checked with the other options
        return TableFiles(paths, self.baseline, self.columns, self.wide, self.name_from, self.sheet)  # type: ignore[arg-type]

    def sets(self, sources: Sequence[Path]) -> list[tuple[Path, ...]]:
        """Return the sources that are read as one: all of them with --name-from, and the runs of TensorBoard."""
        unique = tuple(dict.fromkeys(sources))
        one = together(unique, self.name_from)  # type: ignore[arg-type]  # checked with the other options
        return [unique] if one else [(source,) for source in unique]

    def curves(self, *sources: Path) -> Curves:
        """Read the curves of a study folder, or of files that are one table, with the options applied.

        Raises:
            InputError: wrong options, or the sources have no usable curves.
        """
        self.refuse_faults()
        if self.is_study(*sources):
            return replace(self._of_study(sources[0]), rho=self.rho)
        curves = load_table(
            sources,
            metric=self.metric,
            baseline=self.baseline,
            plan=self.plan(Plan()),
            mismatch=self.mismatch,  # type: ignore[arg-type]  # checked above
            columns=self.columns,
            wide=self.wide,
            group=self.group,  # type: ignore[arg-type]  # checked above
            better=self.better,
            keep_summary=self.keep_summary,
            name_from=self.name_from,  # type: ignore[arg-type]  # checked above
            sheet=self.sheet,
            area=self.aubc,
            test_size=self.test_size,
        )
        return replace(curves, rho=self.rho)

    def _of_study(self, source: Path) -> Curves:
        try:
            planned = load_study(source)
        except InputError:
            tables = [] if StudyFolder(source).plan.exists() else files_in(source)
            if not tables:
                raise
            fix = f"name the files, for example {tables[0]}; or read them as one table with --name-from file or folder"
            found = f"a folder of {len(tables)} table{'s' * (len(tables) > 1)}"
            raise InputError(Fault(str(source), "a study folder, or tables", found, fix)) from None
        self._refuse_unusable(source, planned)
        used = planned.directions
        own = {p: used[p].metric if p in used else metric for p, metric in planned.metrics.items()}
        metrics = dict.fromkeys(own, self.metric) if self.metric is not None else own
        curves = replace(
            planned,
            plan=self.plan(planned.plan),
            baseline=self.baseline,
            area=self.aubc,
            metrics=metrics if metrics != own else planned.metrics,
            steps=planned.steps if metrics == own else {},
            group=self.group or None,  # type: ignore[arg-type]  # checked when the options were read
        )
        differences = {
            "plan": curves.plan != planned.plan,
            "baseline": self.baseline != planned.baseline,
            "metric": metrics != own,
            "direction": self.better is not None and any(d.better != self.better for d in planned.directions.values()),
            "family": self.group is not None,
            "area": curves.area != planned.area,
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
        table_only |= {"--keep-summary": self.keep_summary, "--sheet": self.sheet is not None}
        table_only |= {"--test-size": self.test_size is not None}
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


def one_source(sources: Sequence[Path], options: CompareOptions) -> tuple[Path, ...]:
    """Return the files that are one table, or the one study.

    Raises:
        InputError: Several sources that are not one table.
    """
    sets = options.sets(sources)
    if len(sets) > 1:
        found = ", ".join(str(path) for paths in sets for path in paths)
        fix = "give one at a time; if every file is one strategy, add --name-from file"
        raise InputError(Fault("SOURCE", "one study or table", found, fix))
    return sets[0]


def _all_pairs_only(correction: str) -> Fault:
    return Fault(
        "--correction",
        f"a correction of comparisons with the baseline: {', '.join(get_args(Correction))}",
        f"{correction}, which uses what all pairs of strategies say of one another",
        "choose holm, which it equals with one baseline; --details has it for all pairs over data sets",
    )
