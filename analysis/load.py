"""Records of a study, or anyone's CSV of curves, become `Curves`: one tidy table and what is missing from it.

Analysis sees complete runs only. What was planned (or, in a table, could be expected) and is not complete
is listed with its reason, never silently dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pandas as pd

from protocol.errors import Fault, InputError, RecordError, unknown_name
from protocol.folders import StudyFolder
from protocol.record import Record, read
from protocol.spec import BASELINE, Plan, Protocol, StrategySpec, Study

COLUMNS: Final = ("study", "protocol", "dataset", "regime", "strategy", "seed", "budget", "metric", "value")


class RunKey(NamedTuple):
    """Names one run."""

    protocol: str
    strategy: str
    seed: int


@dataclass(frozen=True)
class Missing:
    """A run that is not analysed, and why."""

    run: RunKey
    reason: str
    planned: bool = True

    def __str__(self) -> str:
        return f"{self.run.protocol}/{self.run.strategy}/seed-{self.run.seed}: {self.reason}"


@dataclass(frozen=True)
class Curves:
    """Complete learning curves of one study.

    Attributes:
        frame: columns study, protocol, dataset, regime, strategy, seed, budget (labels), metric, value; complete runs only.
        study: its name.
        plan: the analysis plan.
        exploratory: True unless the plan was fixed and fingerprinted with the study before the first run.
        planned: every run that should be there, in the study's order.
        missing: runs that are not analysed, each with its reason.
        metrics: protocol -> primary metric (higher is better).
        baseline: the strategy that the others are compared with.
        notes: what was done to the data on request (cropping, say).
    """

    frame: pd.DataFrame
    study: str
    plan: Plan
    exploratory: bool
    planned: tuple[RunKey, ...]
    missing: tuple[Missing, ...]
    metrics: Mapping[str, str]
    baseline: str = BASELINE
    notes: tuple[str, ...] = field(default=())

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
    def comparisons(self) -> tuple[tuple[str, str], ...]:
        """Planned (protocol, strategy) pairs, the baseline left out."""
        return tuple(dict.fromkeys((k.protocol, k.strategy) for k in self.planned if k.strategy != self.baseline))

    @property
    def complete(self) -> int:
        """How many of the planned runs are analysed."""
        return len(self.planned) - sum(m.planned for m in self.missing)

    def to_csv(self, path: Path) -> None:
        """The tidy table; `load_table` reads it back."""
        self.frame.to_csv(path, index=False)


def load_study(path: Path) -> Curves:
    """Complete runs of a study folder as `beatrandom run` wrote it.

    A run is complete if its record is sealed, its hash chain is intact, its protocol's fingerprint is the
    planned one and its rounds are the protocol's budgets.

    Raises:
        InputError: the folder is not a study folder.
    """
    folder = StudyFolder(Path(path))
    study = folder.read_plan()
    rows: list[tuple[object, ...]] = []
    missing: list[Missing] = []
    planned = tuple(RunKey(p.name, s.id, seed) for p in study.protocols for s in study.strategies for seed in study.seeds)
    for protocol in study.protocols:
        for strategy in study.strategies:
            for seed in study.seeds:
                events = folder.run(protocol.name, strategy.id, seed).events
                found = _run(events, protocol, strategy, seed)
                if isinstance(found, str):
                    missing.append(Missing(RunKey(protocol.name, strategy.id, seed), found))
                else:
                    rows += [(study.name, *row) for row in _rows(found, protocol, strategy, seed)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"seed": "int64", "budget": "int64", "value": "float64"})
    return Curves(
        frame=frame,
        study=study.name,
        plan=study.plan,
        exploratory=False,
        planned=planned,
        missing=(*missing, *_unplanned(folder, study)),
        metrics={p.name: p.metric for p in study.protocols},
    )


def _run(events: Path, protocol: Protocol, strategy: StrategySpec, seed: int) -> Record | str:
    """The complete record, or why there is none."""
    if not events.exists():
        return "not run"
    try:
        record = read(events)
    except RecordError as error:
        return f"unreadable record: expected {error.faults[0].expected}, found {error.faults[0].found}"
    if record.breaks:
        return f"broken record at line {record.breaks[0].where.rsplit(':', 1)[-1]}: expected {record.breaks[0].expected}"
    if record.failed:
        return "failed"
    if not record.sealed or record.run is None:
        return "not finished"
    run = record.run
    if {run.fingerprint, run.protocol.fingerprint} != {protocol.fingerprint}:
        return f"made under another protocol ({run.fingerprint[:12]}, planned {protocol.fingerprint[:12]})"
    if (run.strategy, run.replicate) != (strategy, seed):
        return f"record of another run ({run.strategy.id}, seed {run.replicate})"
    if tuple(r.budget for r in record.rounds) != protocol.budgets:
        return f"{len(record.rounds)} rounds that are not the protocol's {len(protocol.budgets)} budgets"
    if any(protocol.metric not in r.metrics for r in record.rounds):
        return f"a round without {protocol.metric}"
    return record


def _rows(record: Record, protocol: Protocol, strategy: StrategySpec, seed: int) -> Iterator[tuple[object, ...]]:
    for event in record.rounds:
        for metric, value in event.metrics.items():
            yield protocol.name, protocol.data.name, protocol.regime.name, strategy.id, seed, event.budget, metric, value


def _unplanned(folder: StudyFolder, study: Study) -> Iterator[Missing]:
    """Records that the plan does not know: left out, and said so."""
    known = {folder.run(p.name, s.id, seed).events for p in study.protocols for s in study.strategies for seed in study.seeds}
    for events in sorted(folder.records.glob("*/*/seed-*/events.jsonl")):
        if events not in known:
            protocol, strategy, seed = events.parts[-4:-1]
            number = seed.removeprefix("seed-")
            yield Missing(RunKey(protocol, strategy, int(number) if number.isdecimal() else -1), "not in the plan; left out", planned=False)


def load_table(
    path: Path,
    *,
    metric: str | None = None,
    baseline: str = BASELINE,
    plan: Plan | None = None,
    grids: Literal["refuse", "crop"] = "refuse",
) -> Curves:
    """Curves from a CSV with a row per measurement, from any source.

    Needed columns: strategy, seed (integer), budget (labels), value (higher is better). Optional: study,
    protocol (else made of dataset and regime), dataset, regime, metric. Other columns are ignored.
    Without a plan the project's default is used. The result is exploratory either way: nothing shows that
    the plan came first.

    Args:
        metric: which one, if the table has several.
        baseline: the strategy to compare with.
        grids: if runs of one protocol have different budgets: refuse, or crop to the budgets all of them share.

    Raises:
        InputError: all faults of the table at once. Empty values are no fault: their runs are listed as missing.
    """
    where = str(path)
    frame = _typed(_read_csv(Path(path)), where)
    frame, metrics = _one_metric(frame, metric, where)
    if baseline not in set(frame["strategy"]):
        raise InputError(unknown_name(f"{where}: baseline", baseline, sorted(set(frame["strategy"]))))
    _one_recipe_each(frame, where)
    expected = [
        RunKey(str(protocol), str(strategy), int(seed))
        for protocol, part in frame.groupby("protocol", sort=False)
        for strategy in part["strategy"].unique()
        for seed in sorted(part["seed"].unique())
    ]
    there = set(frame.groupby(["protocol", "strategy", "seed"]).groups)
    holes = frame[frame["value"].isna()].groupby(["protocol", "strategy", "seed"])["budget"].first()
    missing = [
        Missing(k, "no rows in the table" if k not in there else f"no value at budget {holes[k]}")
        for k in expected
        if k not in there or k in holes
    ]
    left = {m.run for m in missing}
    frame = frame[[k not in left for k in zip(frame["protocol"], frame["strategy"], frame["seed"], strict=True)]]
    frame, notes = _on_shared_budgets(frame, where, grids)
    return Curves(
        frame=frame.reset_index(drop=True),
        study=str(frame["study"].iloc[0]) if len(frame) else Path(path).stem,
        plan=plan or Plan(),
        exploratory=True,
        planned=tuple(expected),
        missing=tuple(missing),
        metrics=metrics,
        baseline=baseline,
        notes=notes,
    )


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, dtype=str, encoding="utf-8-sig", skipinitialspace=True)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(Fault(str(path), "a readable CSV table in UTF-8", reason, "check the path and the file")) from None
    absent = [c for c in ("strategy", "seed", "budget", "value") if c not in frame.columns]
    if absent:
        raise InputError(
            Fault(
                str(path),
                "columns strategy, seed, budget, value",
                f"no {', '.join(absent)} among {', '.join(map(str, frame.columns))}",
                "rename the columns",
            )
        )
    if frame.empty:
        raise InputError(Fault(str(path), "at least one row", "only a header"))
    return frame


def _typed(text: pd.DataFrame, where: str) -> pd.DataFrame:
    """Text cells become numbers; every cell that cannot is a fault with its line."""
    filled = {"study": Path(where).stem, "dataset": "", "regime": "", "metric": "value"}
    columns: dict[str, Any] = {c: text.get(c, pd.Series("", index=text.index)).fillna(filled[c]).replace("", filled[c]) for c in filled}
    made = columns["dataset"].str.cat(columns["regime"], sep="/").str.strip("/").replace("", "all")
    columns["protocol"] = text["protocol"].fillna(made) if "protocol" in text else made
    columns["strategy"] = text["strategy"].fillna("")
    columns |= {c: pd.to_numeric(text[c], errors="coerce") for c in ("seed", "budget", "value")}
    frame = pd.DataFrame(columns)[list(COLUMNS)]
    finite = {c: np.isfinite(frame[c].to_numpy(dtype=np.float64)) for c in ("seed", "budget", "value")}
    wrong = {
        "strategy": (frame["strategy"] == "", "a name"),
        "seed": (~finite["seed"] | (frame["seed"] % 1 != 0), "an integer"),
        "budget": (~finite["budget"] | (frame["budget"] % 1 != 0) | (frame["budget"] <= 0), "a positive integer"),
        "value": (~finite["value"] & text["value"].notna(), "a finite number"),
    }
    faults = [
        Fault(f"{where}:{line + 2}: {column}", expected, repr(text[column].iloc[line]))
        for column, (bad, expected) in wrong.items()
        for line in np.flatnonzero(np.asarray(bad))[:5]
    ]
    if len(set(frame["study"])) > 1:
        faults.append(Fault(f"{where}: study", "one study", ", ".join(sorted(set(frame["study"]))), "give each study a table of its own"))
    if faults:
        raise InputError(faults)
    frame = frame.astype({"seed": "int64", "budget": "int64", "value": "float64"})
    twice = frame.duplicated(["protocol", "strategy", "seed", "metric", "budget"], keep=False)
    if twice.any():
        lines = ", ".join(str(i + 2) for i in np.flatnonzero(twice)[:6])
        raise InputError(
            Fault(where, "each (protocol, strategy, seed, metric, budget) once", f"repeated in lines {lines}", "keep one of them")
        )
    return frame


def _one_metric(frame: pd.DataFrame, metric: str | None, where: str) -> tuple[pd.DataFrame, dict[str, str]]:
    known = sorted(set(frame["metric"]))
    if metric is None and len(known) > 1:
        raise InputError(Fault(f"{where}: metric", "one metric, or a choice", ", ".join(known), "choose one of them"))
    chosen = metric or known[0]
    if chosen not in known:
        raise InputError(unknown_name(f"{where}: metric", chosen, known))
    own = frame[frame["metric"] == chosen]
    return own, dict.fromkeys(own["protocol"].unique(), chosen)


def _one_recipe_each(frame: pd.DataFrame, where: str) -> None:
    """Curves of different data sets or regimes are never compared under one protocol name."""
    faults = []
    for protocol, part in frame.groupby("protocol", sort=False):
        for column in ("dataset", "regime"):
            if len(set(part[column])) > 1:
                names = ", ".join(sorted(set(part[column])))
                faults.append(Fault(f"{where}: protocol {protocol}", f"one {column}", names, "give each its own protocol name"))
    if faults:
        raise InputError(faults)


def _on_shared_budgets(frame: pd.DataFrame, where: str, grids: Literal["refuse", "crop"]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    faults: list[Fault] = []
    notes: list[str] = []
    kept = []
    for protocol, part in frame.groupby("protocol", sort=False):
        sets = part.groupby(["strategy", "seed"])["budget"].agg(frozenset)
        shared = sorted(frozenset.intersection(*sets))
        every = sorted(frozenset.union(*sets))
        if shared == every:
            kept.append(part)
            continue
        odd = sets[sets != frozenset(sets.mode().iloc[0])] if len(sets) > 1 else sets
        names = ", ".join(f"{s} seed {seed}" for s, seed in odd.index[:5]) + (" …" if len(odd) > 5 else "")
        if grids == "refuse" or not shared:
            fix = (
                "complete the table, or ask to crop to the shared budgets"
                if shared
                else "these curves share no budget: they cannot be compared"
            )
            faults.append(
                Fault(f"{where}: protocol {protocol}", f"the same budgets in every run ({_short(every)})", f"others in {names}", fix)
            )
        else:
            notes.append(f"{protocol}: cropped to the {len(shared)} of {len(every)} budgets that all runs share ({_short(shared)})")
            kept.append(part[part["budget"].isin(shared)])
    if faults:
        raise InputError(faults)
    return pd.concat(kept) if kept else frame, tuple(notes)


def _short(budgets: list[int]) -> str:
    return ", ".join(map(str, budgets)) if len(budgets) <= 6 else f"{budgets[0]}, {budgets[1]}, …, {budgets[-1]}"
