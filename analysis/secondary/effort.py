"""Cost of a study: labels, and seconds of training, query selection and evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.secondary.export import kind_of
from protocol.errors import RecordError
from protocol.record.chain import read
from protocol.record.events import LabelsEvent
from protocol.record.layout import StudyFolder
from protocol.seal.archive import open_study

ENERGY = "not measured: no counter of the processor's energy could be read on the machine"


@dataclass(frozen=True)
class Effort:
    """Cost of all sealed runs of a study.

    Attributes:
        table: one row per protocol and strategy: runs, labels, and seconds of all rounds for training, query selection
            and evaluation (wall clock, one thread per run).
        devices, commits: devices and commits in the records.
        dirty: number of runs with uncommitted changes.
    """

    table: pd.DataFrame
    devices: tuple[str, ...]
    commits: tuple[str, ...]
    dirty: int

    @property
    def runs(self) -> int:
        """Return the number of runs."""
        return int(self.table["runs"].sum())

    @property
    def labels(self) -> int:
        """Return the number of labels of all runs."""
        return int(self.table["labels"].sum())

    @property
    def hours(self) -> float:
        """Return the hours of all rounds, one after the other."""
        return float(self.table[["train_s", "choose_s", "evaluate_s"]].to_numpy().sum()) / 3600


def effort(path: Path) -> Effort:
    """Sum up the costs in the records of a study folder or a packed study.

    Raises:
        InputError: neither of these.
    """
    rows: list[dict[str, object]] = []
    environments: list[dict[str, object]] = []
    with open_study(path) as place:
        folder = StudyFolder(place)
        study = folder.read_plan()
        for run in study.runs():
            try:
                record = read(folder.run(run).events, folder.path)
            except (FileNotFoundError, RecordError):
                continue
            if not record.sealed or record.run is None:
                continue
            environments.append(record.run.environment)
            spent: dict[str, float] = {}
            for event in record.rounds:
                for name, seconds in event.cost.items():
                    if name.endswith("_s"):
                        spent[kind_of(name)] = spent.get(kind_of(name), 0.0) + seconds
            labels = sum(len(e.indices) for e in record.of(LabelsEvent))
            rows.append({"protocol": run.protocol, "strategy": run.strategy, "runs": 1, "labels": labels} | spent)
    columns = ["protocol", "strategy", "runs", "labels", "train_s", "choose_s", "evaluate_s"]
    table = (
        pd.DataFrame(rows, columns=columns)
        .fillna(0.0)
        .groupby(["protocol", "strategy"], sort=False, as_index=False)
        .sum()
    )
    return Effort(
        table,
        tuple(sorted({str(e.get("device", "")) for e in environments})),
        tuple(sorted({str(e.get("commit", "")) for e in environments})),
        sum(bool(e.get("dirty")) for e in environments),
    )
