"""Build `Curves` from the records of a study: one tidy table, and what is missing from it.

Only complete runs are analysed. Planned runs that are not complete are listed with a reason, never silently dropped.
`analysis.loading.table` builds `Curves` from tables.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.loading.curves import COLUMNS, COST_COLUMNS, Basis, Curves, Missing
from analysis.loading.extract import BIN_COLUMNS, confidence_bin_rows, queried_indices, query_cost_rows
from analysis.loading.metric_direction import apply_direction
from protocol.errors import RecordError
from protocol.record.amendments import read_amendments
from protocol.record.chain import Record, read
from protocol.record.events import LabelsEvent
from protocol.record.layout import RunFolder, StudyFolder
from protocol.seal.archive import open_study
from protocol.spec.protocol import Protocol
from protocol.spec.run_id import RunId
from protocol.spec.study import Better, StrategySpec, Study

_LARGEST: Final = 1e15
"""No measured metric is larger, and figures cannot show more."""


def load_study(path: Path) -> Curves:
    """Load the complete runs of a study folder, or of a packed archive of one.

    A run is complete if its record is sealed, its hash chain is intact, its protocol has the planned fingerprint, and
    its rounds have the protocol's budgets.

    Args:
        path: Study folder or packed archive.

    Raises:
        InputError: The folder is not a study folder.
    """
    with open_study(Path(path)) as folder:
        return apply_direction(*_load(StudyFolder(folder)))


def _load(folder: StudyFolder) -> tuple[Curves, Better | None, Basis]:
    study = folder.read_plan()
    amendments = read_amendments(folder)
    rows: list[tuple[object, ...]] = []
    costs: list[tuple[object, ...]] = []
    missing: list[Missing] = []
    bins: list[tuple[object, ...]] = []
    bought: dict[RunId, NDArray[np.int64]] = {}
    starters: dict[str, set[str]] = {}
    environments: Counter[str] = Counter()
    steps: dict[str, float] = {}
    fingerprints = {p.name: p.fingerprint for p in study.protocols}
    for run in study.runs():
        protocol = study.protocol(run.protocol)
        strategy = study.strategy(run.strategy)
        record = _complete_record(folder.run(run), protocol, fingerprints[run.protocol], strategy, run.seed)
        if isinstance(record, str):
            missing.append(Missing(run, record))
            continue
        environments[json.dumps(record.run.environment, sort_keys=True) if record.run else ""] += 1
        bought[run] = queried_indices(record)
        if protocol.metric == "accuracy" and record.run and record.run.split.test > 0:
            steps[run.protocol] = 1 / record.run.split.test
        if any(e.chosen for e in record.of(LabelsEvent)):
            starters.setdefault(run.protocol, set()).add(run.strategy)
        bins += confidence_bin_rows(folder, record, run)
        costs += query_cost_rows(record, run)
        rows += [(study.name, *row) for row in _rows(record, protocol, run)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"seed": "int64", "budget": "int64", "value": "float64"})
    curves = Curves(
        frame=frame,
        study=study.name,
        plan=study.plan,
        exploratory=bool(amendments),
        amended=len(amendments),
        notes=(*(f"the plan was amended on {a.time}: {a.reason}" for a in amendments), *_starts(study, starters)),
        planned=tuple(study.runs()),
        missing=(*missing, *_unplanned(folder, study)),
        upper=frozenset(s.id for s in study.strategies if s.upper_line),
        metrics={p.name: p.metric for p in study.protocols},
        steps=steps,
        currencies={p.name: p.currency for p in study.protocols},
        places={p.name: (p.data.name, p.regime.name) for p in study.protocols},
        costs=pd.DataFrame(costs, columns=list(COST_COLUMNS)),
        bought=bought,
        reliability=pd.DataFrame(bins, columns=list(BIN_COLUMNS)),
        environments={kind: runs for kind, runs in environments.items() if kind not in ("", "{}")},
    )
    return curves, study.metric.direction if study.metric else None, "study"


def _starts(study: Study, starters: dict[str, set[str]]) -> Iterator[str]:
    """Yield a note for each protocol that lets strategies choose their initial set."""
    for protocol in (p for p in study.protocols if p.splits.initial == "strategy"):
        own = [s.id for s in study.strategies if s.id in starters.get(protocol.name, ())]
        who = (
            f"{', '.join(own)} chose their own starting sets"
            if own
            else "no strategy could choose its own starting set"
        )
        yield (
            f"{protocol.name}: {who}; all others share random's. Pairs share split, weights and streams by seed; "
            "of those with a start of their own, the difference is that of the start and the queries together"
        )


def _complete_record(
    run_folder: RunFolder, protocol: Protocol, planned: str, strategy: StrategySpec, seed: int
) -> Record | str:
    """Return the complete record, or the reason why the run is not analysed.

    Args:
        planned: fingerprint of the protocol, which takes longer to compute than a record to read.
    """
    if not run_folder.events.exists():
        return "not run"
    try:
        record = read(run_folder.events, run_folder.root)
    except RecordError as error:
        return f"unreadable record: expected {error.faults[0].expected}, found {error.faults[0].found}"
    if record.breaks:
        return (
            f"broken record at line {record.breaks[0].where.rsplit(':', 1)[-1]}: expected {record.breaks[0].expected}"
        )
    if record.failed:
        return "failed"
    if not record.sealed or record.run is None:
        return "not finished"
    run = record.run
    if run.fingerprint != planned or (run.protocol != protocol and run.protocol.fingerprint != planned):
        return f"made under another protocol ({run.fingerprint[:12]}, planned {planned[:12]})"
    if (run.strategy, run.replicate) != (strategy, seed):
        return f"record of another run ({run.strategy.id}, seed {run.replicate})"
    if tuple(r.budget for r in record.rounds) != protocol.budgets:
        return f"{len(record.rounds)} rounds that are not the protocol's {len(protocol.budgets)} budgets"
    if any(protocol.metric not in r.metrics for r in record.rounds):
        return f"a round without {protocol.metric}"
    if any(not 0 <= r.metrics[protocol.metric] <= 1 for r in record.rounds):
        return f"a round whose {protocol.metric} is outside [0, 1]"
    if any(abs(value) > _LARGEST for r in record.rounds for value in r.metrics.values()):
        return f"a round with a metric above {_LARGEST:g}"
    return record


def _rows(record: Record, protocol: Protocol, run: RunId) -> Iterator[tuple[object, ...]]:
    setting = (run.protocol, protocol.data.name, protocol.regime.name)
    for event in record.rounds:
        for metric, value in event.metrics.items():
            yield (*setting, run.strategy, run.seed, event.budget, metric, value)


def _unplanned(folder: StudyFolder, study: Study) -> Iterator[Missing]:
    """Yield the records that are not in the plan; they are left out."""
    planned = {folder.run(run).events for run in study.runs()}
    for events in sorted(folder.records.glob("*/*/seed-*/events.jsonl")):
        if events not in planned:
            protocol, strategy, seed = events.parts[-4:-1]
            number = seed.removeprefix("seed-")
            yield Missing(
                RunId(protocol, strategy, int(number) if number.isdecimal() else -1),
                "not in the plan; left out",
                planned=False,
            )
