"""What `compare` was asked for on the command line, checked all at once, and the curves it means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from analysis.loading.curves import Curves, Group, Mismatch
from analysis.loading.metric_direction import negate_losses
from analysis.loading.records import load_study
from analysis.loading.table import load_table
from analysis.statistics.corrections import Correction
from analysis.statistics.hypothesis_tests import Test
from protocol.errors import Fault, InputError, unknown_name
from protocol.spec.study import BASELINE, Plan


@dataclass(frozen=True)
class Asked:
    """The options of `beatrandom compare`; None or empty where nothing was said."""

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

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with the options themselves."""
        named = {
            "--test": (self.test, Test),
            "--correction": (self.correction, Correction),
            "--group": (self.group, Group),
        }
        for option, (given, known) in (named | {"--mismatch": (self.mismatch, Mismatch)}).items():
            if given is not None and given not in get_args(known):
                yield unknown_name(option, given, get_args(known))
        if self.delta is not None and not 0 < self.delta < float("inf"):
            yield Fault("--delta", "a positive number in the metric's units", f"{self.delta:g}")
        if self.alpha is not None and not 0 < self.alpha < 1:
            yield Fault("--alpha", "a number between 0 and 1", f"{self.alpha:g}")
        if not 0 <= self.rho < 1:
            yield Fault("--rho", "a correlation of at least 0 and below 1", f"{self.rho:g}")
        for pair in self.column:
            if not all(pair.partition("=")):
                yield Fault("--column", "OURS=THEIRS, e.g. strategy=method", repr(pair))
        ours = [pair.partition("=")[0] for pair in self.column]
        if len(set(ours)) < len(ours):
            yield Fault("--column", "each of our names once", ", ".join(ours))

    def plan(self, base: Plan) -> Plan:
        """`base` with what was asked for."""
        own: dict[str, Any] = {
            "test": self.test,
            "delta": self.delta,
            "alpha": self.alpha,
            "correction": self.correction,
        }
        return base.model_copy(update={name: value for name, value in own.items() if value is not None})

    def curves(self, source: Path) -> Curves:
        """The curves of a study folder or of a table, as asked for.

        Raises:
            InputError: wrong options, or nothing usable at `source`.
        """
        faults = list(self.faults())
        if faults:
            raise InputError(faults)
        if source.is_dir():
            return self._of_study(source)
        return load_table(
            source,
            metric=self.metric,
            baseline=self.baseline,
            plan=self.plan(Plan()),
            mismatch=self.mismatch,  # type: ignore[arg-type]  # checked above
            columns={ours: theirs for ours, _, theirs in (pair.partition("=") for pair in self.column)},
            wide=self.wide,
            group=self.group,  # type: ignore[arg-type]  # checked above
        )

    def _of_study(self, source: Path) -> Curves:
        curves = load_study(source)
        for option, given in (
            ("--column", self.column),
            ("--wide", self.wide),
            ("--mismatch", self.mismatch != "list"),
        ):
            if given:
                raise InputError(
                    Fault(
                        option,
                        "a table",
                        f"the study folder {source}, which has no gaps of this kind",
                        f"leave out {option}",
                    )
                )
        known = {"--baseline": (self.baseline, curves.strategies)}
        if self.metric is not None:
            known["--metric"] = (self.metric, tuple(curves.frame["metric"].unique()))
        faults = [unknown_name(option, name, names) for option, (name, names) in known.items() if name not in names]
        if faults:
            raise InputError(faults)
        metrics = dict.fromkeys(curves.metrics, self.metric) if self.metric is not None else curves.metrics
        asked = replace(
            curves,
            plan=self.plan(curves.plan),
            baseline=self.baseline,
            metrics=metrics,
            group=self.group or None,  # type: ignore[arg-type]  # checked when the options were read
        )
        changed = [
            what
            for what, differs in (
                ("plan", asked.plan != curves.plan),
                ("baseline", self.baseline != curves.baseline),
                ("metric", asked.metrics != curves.metrics),
                ("family", self.group is not None),
            )
            if differs
        ]
        if not changed:
            return asked
        note = f"exploratory: another {', '.join(changed)} than planned was asked for"
        return negate_losses(replace(asked, exploratory=True, notes=(*curves.notes, note)))
